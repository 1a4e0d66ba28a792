"""Starts the processes of a gateway and keeps them running."""
