"""The models that are known: who serves them, what they can do, what they cost. Data, and the code that reads it."""
