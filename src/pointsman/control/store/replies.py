"""Replies to calls with an idempotency key. A repeated call changes nothing, and gets the reply to the first one."""

from time import time

from msgspec import Struct
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.control.store.tables import REPLIES

KEEP_REPLIES_S = 86_400.0


class Repeat(Struct, frozen=True):
    """A call that may be repeated. `key` is the caller with its idempotency key, and `request` identifies the content
    of the call."""

    key: str
    request: str


class KeyReusedError(Exception):
    """The idempotency key was used for another call."""

    def __init__(self) -> None:
        super().__init__("this idempotency key was used for another call; use a new one")


async def earlier_reply(connection: AsyncConnection, repeat: Repeat | None) -> str | None:
    """Return the reply to an earlier call with this key, if there was one. Old ones are deleted. Raises
    `KeyReusedError`."""
    if repeat is None:
        return None
    await connection.execute(delete(REPLIES).where(REPLIES.c.at < time() - KEEP_REPLIES_S))
    row = (await connection.execute(select(REPLIES).where(REPLIES.c.key == repeat.key))).mappings().first()
    if row is None:
        return None
    if row["request"] != repeat.request:
        raise KeyReusedError
    return str(row["reply"])


async def keep_reply(connection: AsyncConnection, repeat: Repeat | None, reply: bytes) -> None:
    """Keep the reply to a call in the transaction of its change. It has no secrets."""
    if repeat is not None:
        values = {"key": repeat.key, "request": repeat.request, "reply": reply.decode(), "at": time()}
        await connection.execute(insert(REPLIES).values(**values))
