"""Alerts: conditions over the state of the gateway, and messages to channels."""
