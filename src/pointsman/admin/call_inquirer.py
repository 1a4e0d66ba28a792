"""Inquiries to control on behalf of one request, whose caller the audit log names."""

import secrets
from typing import Any

from fastapi import Request
from msgspec import Struct

from pointsman.domain.audit import Actor
from pointsman.link.inquirer import ANSWER_S, Inquirer, Item

STRANGER = "stranger"  # a caller that has presented nothing valid


class CallInquirer(Inquirer):
    """Asks over the connection of another inquirer."""

    def __init__(self, inquirer: Inquirer, request: Request) -> None:
        super().__init__("")
        self._inquirer = inquirer
        self._request = request

    async def ask(self, inquiry: Struct, item: type[Item], within_s: float = ANSWER_S) -> list[Item]:
        return await self._inquirer.ask_for(actor_of(self._request), inquiry, item, within_s)


def begin_call(request: Request) -> None:
    """Give a request its id."""
    request.state.call_id = secrets.token_hex(16)


def actor_of(request: Request) -> Actor:
    """Return the caller of a request as far as it is known."""
    caller: Any = getattr(request.state, "caller", None)
    peer = request.client.host if request.client is not None else ""
    address = getattr(caller, "address", "") or getattr(request.state, "address", "") or peer
    return Actor(getattr(caller, "name", STRANGER), address, getattr(request.state, "call_id", ""))
