"""Lists, shows and changes access templates."""

from pointsman.cli._resources import resource_commands

command = resource_commands(
    "access_template",
    "access-templates",
    "access templates",
    "Members of a team make keys of their own from its templates: see `pointsman me`.",
)
