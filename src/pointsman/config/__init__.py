"""Compiles a YAML file into a snapshot: reads it, reports all faults at once, resolves secrets; again on a change."""
