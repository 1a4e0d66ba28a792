"""Intents and outcomes: reservations for attempts and their results, in files that survive every process."""
