"""The command line, the demo, and the wiring of all packages."""
