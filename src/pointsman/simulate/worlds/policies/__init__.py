"""Routers to compare with, a file each: published rules of other products and papers, and an oracle.

A policy ranks routes, each of which is one key of a provider, and learns from its own attempts only. It runs inside the
failover of the production core: its ranking is the order of a plan, and `next_step` carries the plan out. It gets none
of the core's own knowledge, so neither a breaker nor blocked keys help it.
"""
