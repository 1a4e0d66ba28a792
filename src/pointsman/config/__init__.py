"""From a YAML file to a snapshot: read, check everything at once, resolve secrets, compile; again when it changes."""
