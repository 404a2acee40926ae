"""JSON of any size read in a stream into columns, with Python's own numbers to the bit."""
