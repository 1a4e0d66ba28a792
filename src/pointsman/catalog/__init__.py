"""Known models with their providers, capabilities and prices: the data, and the code that reads it."""
