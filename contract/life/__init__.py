"""The life of a lot: its events, the state that they add up to, the rules, and the files."""
