"""Metrics and logs, which never delay a request."""
