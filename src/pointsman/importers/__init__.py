"""Makes configurations from those of other gateways, with a note on everything that has no counterpart or works
differently."""
