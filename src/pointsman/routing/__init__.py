"""The decision core: pure functions from what is asked and what is known to what will be tried."""
