"""Sixteen provider failures, as clients see them through a gateway."""
