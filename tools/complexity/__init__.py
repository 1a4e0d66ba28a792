"""Fits the weights of the fact `complexity`."""
