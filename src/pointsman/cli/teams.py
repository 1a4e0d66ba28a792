"""Lists, shows and changes teams."""

from pointsman.cli._resources import resource_commands

command = resource_commands("team", "teams", "teams")
