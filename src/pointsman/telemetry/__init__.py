"""Metrics and logs. Nothing here may delay a request."""
