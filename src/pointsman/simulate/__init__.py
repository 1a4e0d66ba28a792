"""Simulated providers: servers that speak a provider's API, fail on request, and keep their own bill.

They share no code with `transport` or `engine`, so that they can test both independently.
"""

from pointsman.simulate.provider import SimulatedProvider
from pointsman.simulate.settings import Settings

__all__ = ["Settings", "SimulatedProvider"]
