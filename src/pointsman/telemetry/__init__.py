"""Metrics and logs. Nothing here may hold up a request."""
