"""Lists, shows and changes public names of models."""

from pointsman.cli._resources import resource_commands

command = resource_commands(
    "model", "models", "public names of models", "`pointsman models` searches the catalog instead."
)
