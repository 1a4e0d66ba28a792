"""Prices, reservations and leases: what a request may cost, and what is left of each limit. Pure."""
