"""Lists, shows and changes rules."""

from pointsman.cli._resources import resource_commands

command = resource_commands(
    "rule",
    "rules",
    "rules",
    "Rules made by API come after those of the file within their scope, in the order of their names.",
)
