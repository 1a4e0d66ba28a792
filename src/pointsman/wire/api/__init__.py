"""The public API below `/v1`, a file for each group of paths. Each defines `PATHS`."""
