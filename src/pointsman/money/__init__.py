"""Prices, reservations and leases: the possible cost of a request, and the amount left of each limit. Pure."""
