"""Counts failed logins by account and by address, and locks them for a time.

An attempt counts before its password is checked, so that many at once cannot pass. The account of the last owner is
never locked: otherwise anybody could keep it out. Its address still is.
"""

from hashlib import sha256

from sqlalchemy import delete, insert, select

from pointsman.control.access.changes import AccessChange
from pointsman.control.inquiries.logins import LoginAttempt
from pointsman.control.store.access_tables import LOGIN_ATTEMPTS
from pointsman.control.store.tables import Row
from pointsman.domain.users import LOCAL
from pointsman.wire.callers import subscriber

WINDOW_S = 900.0  # failures before count no longer
OF_ACCOUNT, OF_ADDRESS = 5, 20  # failures in a window that lock it
FIRST_LOCK_S, LONGEST_LOCK_S = 30.0, 900.0  # each failure after the first lock doubles it


async def count_attempt(change: AccessChange, inquiry: LoginAttempt) -> float:
    """Count an attempt. Return the seconds to wait, or 0 if it may go on."""
    user = await change.queries.user_of(LOCAL, inquiry.account)
    is_last_owner = user is not None and await change.queries.owners() == {user.id}
    limits = {_address(inquiry.address): OF_ADDRESS}
    if not is_last_owner:
        limits[_account(inquiry.account)] = OF_ACCOUNT
    table = LOGIN_ATTEMPTS
    await change.execute(delete(table).where(table.c.until <= change.now, table.c.since <= change.now - WINDOW_S))
    rows = await change.rows(select(table).where(table.c.subject.in_(limits)))
    present = {row["subject"]: row for row in rows}
    wait_s = max((row["until"] - change.now for row in rows), default=0.0)
    if wait_s > 0:
        return wait_s
    for subject, most in limits.items():
        await _set(change, _counted(present.get(subject), subject, most, change.now))
    return 0.0


async def forget_attempts(change: AccessChange, account: str, address: str) -> None:
    """Forget the failures of an account that has logged in, and this one attempt of its address."""
    table = LOGIN_ATTEMPTS
    await change.execute(delete(table).where(table.c.subject == _account(account)))
    rows = await change.rows(select(table).where(table.c.subject == _address(address)))
    for row in rows:
        count = row["count"] - 1
        await _set(change, {**row, "count": count, "until": row["until"] if count >= OF_ADDRESS else 0.0})


def _counted(row: Row | None, subject: str, most: int, now: float) -> Row:
    if row is None or row["since"] <= now - WINDOW_S:
        row = {"subject": subject, "count": 0, "since": now, "until": 0.0}
    count = row["count"] + 1
    until = 0.0
    if count >= most:
        until = now + min(FIRST_LOCK_S * 2.0 ** min(count - most, 10), LONGEST_LOCK_S)
    return {**row, "count": count, "until": until}


async def _set(change: AccessChange, row: Row) -> None:
    await change.execute(delete(LOGIN_ATTEMPTS).where(LOGIN_ATTEMPTS.c.subject == row["subject"]))
    await change.execute(insert(LOGIN_ATTEMPTS).values(**row))


def _account(name: str) -> str:
    """Return the key of an account, also of one that does not exist: a lock must not show which ones do."""
    return f"account:{sha256(name.encode()).hexdigest()[:32]}"


def _address(address: str) -> str:
    return f"address:{subscriber(address)}"
