"""Lists, shows and changes customers."""

from pointsman.cli._resources import resource_commands

command = resource_commands("customer", "customers", "customers")
