"""Builds the model catalog from public tables: `python -m tools.catalog` (`make catalog`)."""
