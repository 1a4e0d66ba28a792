"""Routing strategies in simulated worlds, with the production core under a virtual clock."""
