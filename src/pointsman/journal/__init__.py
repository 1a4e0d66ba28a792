"""Intents and outcomes: what was promised to providers and what became of it, in files that survive every process."""
