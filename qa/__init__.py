"""Matching, counting, bounds, sampling, acceptance and the report."""
