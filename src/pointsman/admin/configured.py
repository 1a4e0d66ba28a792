"""Follows a part of the configuration that admin gets from control."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from pointsman.link.inquirer import AwayError, Inquirer

SETTINGS_S = 2.0  # between two inquiries

Item = TypeVar("Item")


async def follow(
    control: Inquirer, inquiry: Struct, item: type[Item], apply: Callable[[list[Item]], Awaitable[None]]
) -> None:
    """Call `apply` with the answer to an inquiry, and again whenever it has changed, until it is cancelled. The last
    answer stays in force while control is away. Raises the errors of an answer of another version."""
    known: list[Item] = []
    while True:
        try:
            found = await control.ask(inquiry, item)
        except AwayError:
            found = known
        if found != known:
            await apply(found)
            known = found
        await asyncio.sleep(SETTINGS_S)


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
