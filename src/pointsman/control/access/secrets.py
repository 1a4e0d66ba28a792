"""Secrets of users in the store: sealed with the gateway's master key, each for one row."""

import logging

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman.config.sealing import MasterKeys, SealError, in_context
from pointsman.control.store.access_tables import CONSOLE_SESSIONS, USERS

_logger = logging.getLogger(__name__)


def of_totp(user_id: str) -> str:
    """Return the context of a secret for one-time codes."""
    return f"totp of {user_id}"


def of_refresh(digest: str) -> str:
    """Return the context of a refresh token."""
    return f"refresh token of session {digest}"


def seal(keys: MasterKeys, text: str, context: str) -> str:
    """Seal a secret; with the first one, a master key is made if there is none. Raises `SealError`."""
    if not keys.first and keys.make_first():
        _logger.warning(
            "a master key was made in %s; whoever copies that folder can read the secrets. Keep the key elsewhere: see "
            "the setting master_key",
            keys.path,
        )
    return keys.seal(text, context)


def unseal(keys: MasterKeys, sealed: str, context: str) -> str:
    """Return a secret. Raises `SealError`."""
    return keys.open(in_context(sealed, context))


async def seal_again(connection: AsyncConnection, keys: MasterKeys) -> int:
    """Seal all secrets of users with the first key, and return their number. Sessions whose refresh token cannot be
    opened lose it. Raises `SealError` for another secret that cannot be opened."""
    count = 0
    for row in (await connection.execute(select(USERS.c.id, USERS.c.totp).where(USERS.c.totp != ""))).mappings():
        again = _again(keys, row["totp"], of_totp(row["id"]))
        await connection.execute(update(USERS).where(USERS.c.id == row["id"]).values(totp=again))
        count += 1
    table = CONSOLE_SESSIONS
    query = select(table.c.digest, table.c.refresh).where(table.c.refresh != "")
    for row in (await connection.execute(query)).mappings():
        try:
            again = _again(keys, row["refresh"], of_refresh(row["digest"]))
        except SealError:
            again = ""
        await connection.execute(update(table).where(table.c.digest == row["digest"]).values(refresh=again))
        count += 1
    return count


def _again(keys: MasterKeys, sealed: str, context: str) -> str:
    return keys.seal(unseal(keys, sealed, context), context)
