"""The decision core: pure functions from a request and the known state to a plan of attempts."""
