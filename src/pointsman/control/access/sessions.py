"""Sessions of the console."""

from sqlalchemy import delete, insert, select, update

from pointsman.config.sealing import SealError
from pointsman.control.access.attempts import forget_attempts
from pointsman.control.access.changes import AccessChange, refusal
from pointsman.control.access.secrets import of_refresh, seal, unseal
from pointsman.control.access.totp import check_code
from pointsman.control.access.users import new_id, new_user, set_mapped
from pointsman.control.inquiries.logins import (
    CloseSession,
    ConfirmSession,
    OpenSession,
    RefreshInquiry,
    SignOn,
    TouchSession,
)
from pointsman.control.store.access_tables import CONSOLE_SESSIONS, USERS
from pointsman.control.store.tables import Row
from pointsman.domain.permissions import OWNER
from pointsman.domain.rights import RoleGrant
from pointsman.domain.users import User

MAX_SESSIONS = 50  # of one user; the oldest end


async def open_session(change: AccessChange, inquiry: OpenSession) -> str:
    """Begin a session of a user with a password. Return the user's id."""
    user = await change.queries.user(inquiry.user_id)
    if user is None or user.is_disabled or user.password != inquiry.password:
        raise refusal("unauthorized", "the name or the password is wrong")
    await check_code(change, user, inquiry.code)
    await forget_attempts(change, inquiry.account, inquiry.address)
    session = {"digest": inquiry.digest, "address": inquiry.address, "ends_at": inquiry.ends_at}
    await _begin(change, user.id, session)
    return user.id


async def sign_on(change: AccessChange, inquiry: SignOn) -> str:
    """Begin a session of a user of an identity provider. Return the user's id."""
    user = await change.queries.user_of(inquiry.issuer, inquiry.subject)
    if user is not None and user.is_disabled:
        raise refusal("forbidden", "this user is disabled; ask an owner or an admin")
    if not inquiry.grants and (user is None or not user.granted):
        raise refusal("forbidden", "none of the user's groups has a role here; ask an owner or an admin")
    if user is None:
        id_ = new_id()
        values = new_user(id_, inquiry.issuer, inquiry.subject, inquiry.name, change.now)
        await change.execute(insert(USERS).values(**values))
    else:
        id_ = user.id
        await change.execute(update(USERS).where(USERS.c.id == id_).values(name=inquiry.name))
    await set_mapped(change, id_, _without_owner(inquiry.grants))
    session = {"digest": inquiry.digest, "address": inquiry.address, "ends_at": inquiry.ends_at}
    session |= {"provider": inquiry.provider, "refresh": _sealed(change, inquiry)}
    await _begin(change, id_, session)
    return id_


async def confirm_session(change: AccessChange, inquiry: ConfirmSession) -> str:
    """Note that the user's identity provider has confirmed it, and the roles that its groups give now."""
    user = await user_of(change, inquiry.digest)
    await set_mapped(change, user.id, _without_owner(inquiry.grants))
    await _note(change, inquiry.digest, {"checked_at": change.now, "refresh": _sealed(change, inquiry)})
    return user.id


def _sealed(change: AccessChange, inquiry: SignOn | ConfirmSession) -> str:
    if not inquiry.refresh:
        return ""
    try:
        return seal(change.parts.configuration.master_keys(), inquiry.refresh, of_refresh(inquiry.digest))
    except SealError as error:
        raise refusal("unavailable", f"the refresh token cannot be sealed: {error}") from None


async def refresh_token(change: AccessChange, inquiry: RefreshInquiry) -> str:
    """Return the refresh token of a session, or nothing."""
    session = await change.queries.session(inquiry.digest)
    if session is None or not session.refresh:
        return ""
    try:
        return unseal(change.parts.configuration.master_keys(), session.refresh, of_refresh(inquiry.digest))
    except SealError:
        return ""  # as without one: the user logs in again


async def touch_session(change: AccessChange, inquiry: TouchSession) -> str:
    """Note that a session is in use."""
    await _note(change, inquiry.digest, {"seen_at": change.now})
    return ""


async def close_session(change: AccessChange, inquiry: CloseSession) -> str:
    """End a session. Return the id of its user, or nothing if it is over already."""
    session = await change.queries.session(inquiry.digest)
    if session is None:
        return ""
    await change.execute(delete(CONSOLE_SESSIONS).where(CONSOLE_SESSIONS.c.digest == inquiry.digest))
    return session.user_id


async def user_of(change: AccessChange, digest: str) -> User:
    """Return the user of a session. Raises `Refused` if it is over."""
    session = await change.queries.session(digest)
    user = await change.queries.user(session.user_id) if session is not None else None
    if user is None or user.is_disabled:
        raise refusal("unauthorized", "the session is over; log in again")
    return user


async def _begin(change: AccessChange, user_id: str, session: Row) -> None:
    table, now = CONSOLE_SESSIONS, change.now
    await change.execute(delete(table).where(table.c.ends_at <= now))
    query = select(table.c.digest).where(table.c.user_id == user_id).order_by(table.c.made_at.desc())
    old = [row["digest"] for row in await change.rows(query.offset(MAX_SESSIONS - 1))]
    await change.execute(delete(table).where(table.c.digest.in_(old)))
    values = {"provider": "", "refresh": "", "made_at": now, "seen_at": now, "checked_at": now, "user_id": user_id}
    await change.execute(insert(table).values(**(values | session)))
    await change.execute(update(USERS).where(USERS.c.id == user_id).values(logged_in_at=now))


async def _note(change: AccessChange, digest: str, values: Row) -> None:
    await change.execute(update(CONSOLE_SESSIONS).where(CONSOLE_SESSIONS.c.digest == digest).values(**values))


def _without_owner(grants: tuple[RoleGrant, ...]) -> tuple[RoleGrant, ...]:
    """Return the roles without the owner's, which no group gives, whatever the configuration says."""
    return tuple(one for one in grants if one.role != OWNER)
