"""Exchange formats: how other tools write labels, read and written at the edge."""
