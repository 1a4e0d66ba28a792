"""Lists, shows and changes providers."""

from pointsman.cli._resources import resource_commands

command = resource_commands(
    "provider",
    "providers",
    "providers",
    "A key is given as `keys.NAME=env.VARIABLE` or `keys.NAME=file:PATH`: it is read here, sent, and sealed by the "
    "gateway.",
)
