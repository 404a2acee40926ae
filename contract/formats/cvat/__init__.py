"""CVAT XML 1.1."""
