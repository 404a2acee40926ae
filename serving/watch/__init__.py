"""Watching the service: request ids, logs, metrics, the status page."""
