"""Lists, shows and changes default limits."""

from pointsman.cli._resources import resource_commands

command = resource_commands(
    "default",
    "defaults",
    "default limits",
    "Their name has the kind of owner and the selection, such as `virtual_key` or `end_user;team=research`.",
)
