"""The public API below `/v1`, with a file for each group of paths. Each file defines `PATHS`."""
