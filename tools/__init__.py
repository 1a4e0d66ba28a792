"""Tools for development, which are not part of the package."""
