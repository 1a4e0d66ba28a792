"""Simulated providers: servers that speak a provider's dialect, misbehave on request, and keep a bill of their own.

They share no code with `transport` or `engine`, so that they can judge them.
"""

from pointsman.simulate.provider import SimulatedProvider
from pointsman.simulate.settings import Settings

__all__ = ["Settings", "SimulatedProvider"]
