"""The nouns: frozen data that every other package speaks. Imports nothing of ours and does no I/O."""
