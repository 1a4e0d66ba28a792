"""The interpreter: the only place that waits for an upstream."""
