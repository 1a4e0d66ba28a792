"""Roles on the command line: `ROLE` or `ROLE@SCOPE`."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        "-r",
        help="A role, as ROLE or ROLE@SCOPE, such as `viewer` or `team-admin@team:research`. May be repeated.",
    ),
]


def role_fields(texts: Iterable[str]) -> list[dict[str, str]]:
    """Return the fields of roles for the API."""
    return [{"role": one.partition("@")[0], "scope": one.partition("@")[2] or "*"} for one in texts]


def role_texts(roles: Iterable[dict[str, Any]]) -> str:
    """Return roles as one text."""
    return ", ".join(one["role"] + ("" if one["scope"] == "*" else f"@{one['scope']}") for one in roles)
