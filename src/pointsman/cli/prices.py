"""Lists, shows and changes prices."""

from pointsman.cli._resources import resource_commands

command = resource_commands(
    "price",
    "prices",
    "prices",
    "The name of a price is its model and its owner, such as `openai/gpt-4o` or `openai/gpt-4o;team=research`.",
)
