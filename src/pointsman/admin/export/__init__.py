"""The export of traces, logs and metrics to an OpenTelemetry collector."""
