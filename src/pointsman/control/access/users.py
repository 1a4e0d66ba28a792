"""Changes of users."""

import secrets

from sqlalchemy import delete, insert, update

from pointsman.control.access.changes import AccessChange, check_name, refusal
from pointsman.control.inquiries.access import ChangeUser, CreateUser, DeleteUser, EndSessions, SetOwnPassword
from pointsman.control.store.access_queries import MAPPED
from pointsman.control.store.access_tables import CONSOLE_SESSIONS, USERS
from pointsman.domain.permissions import OWNER
from pointsman.domain.rights import EVERYTHING, RoleGrant
from pointsman.domain.users import LOCAL, User, user_holder


async def create_user(change: AccessChange, inquiry: CreateUser) -> str:
    """Make a user with a password."""
    check_name(inquiry.name)
    await change.may_give(inquiry.grants)
    if await change.queries.user_of(LOCAL, inquiry.name) is not None:
        raise refusal("conflict", f"there is a user {inquiry.name!r} already", "name")
    id_ = new_id()
    values = new_user(id_, LOCAL, inquiry.name, inquiry.name, change.now) | {"password": inquiry.password}
    await change.execute(insert(USERS).values(**values))
    await change.set_grants(user_holder(id_), inquiry.grants)
    return id_


async def change_user(change: AccessChange, inquiry: ChangeUser) -> str:
    """Change the fields of a user that are set."""
    user = await _covered(change, inquiry.id)
    if inquiry.changed_at is not None and inquiry.changed_at != user.changed_at:
        raise refusal("changed", "the user was changed meanwhile; read it again, and repeat the change")
    values: dict[str, object] = {"changed_at": change.now}
    if inquiry.name is not None:
        check_name(inquiry.name)
        if user.issuer == LOCAL and inquiry.name != user.subject:
            if await change.queries.user_of(LOCAL, inquiry.name) is not None:
                raise refusal("conflict", f"there is a user {inquiry.name!r} already", "name")
            values["subject"] = inquiry.name
        values["name"] = inquiry.name
    if inquiry.password is not None:
        if user.issuer != LOCAL:
            raise refusal("invalid", "the user logs in at an identity provider and has no password here", "password")
        values["password"] = inquiry.password
    if inquiry.drops_totp:
        values |= {"totp": "", "totp_step": 0}
    if inquiry.is_disabled is not None:
        values["is_disabled"] = int(inquiry.is_disabled)
    if inquiry.grants is not None:
        await change.may_give(inquiry.grants)
    loses = inquiry.grants is not None and RoleGrant(OWNER, EVERYTHING) not in inquiry.grants
    if loses or inquiry.is_disabled:
        await _not_the_last_owner(change, user)
    await change.execute(update(USERS).where(USERS.c.id == user.id).values(**values))
    if inquiry.grants is not None:
        await change.set_grants(user_holder(user.id), inquiry.grants)
    if inquiry.is_disabled or inquiry.password is not None or inquiry.drops_totp:
        await end_sessions_of(change, user.id)
    return user.id


async def delete_user(change: AccessChange, inquiry: DeleteUser) -> str:
    """Delete a user, with its roles and sessions."""
    user = await _covered(change, inquiry.id)
    await _not_the_last_owner(change, user)
    await end_sessions_of(change, user.id)
    await change.drop_grants(user_holder(user.id))
    await change.execute(delete(USERS).where(USERS.c.id == user.id))
    return user.id


async def end_sessions(change: AccessChange, inquiry: EndSessions) -> str:
    """End the sessions of a user, which may be the author."""
    await _covered(change, inquiry.id)
    await end_sessions_of(change, inquiry.id, inquiry.but)
    return inquiry.id


async def set_own_password(change: AccessChange, inquiry: SetOwnPassword) -> str:
    """Replace the password of the author, unless it was changed meanwhile."""
    same = (USERS.c.id == inquiry.id, USERS.c.password == inquiry.old, USERS.c.issuer == LOCAL)
    values = {"password": inquiry.new, "changed_at": change.now}
    if not await change.execute(update(USERS).where(*same).values(**values)):
        raise refusal("conflict", "the password was changed meanwhile; log in again")
    await end_sessions_of(change, inquiry.id, inquiry.session)
    return inquiry.id


async def end_sessions_of(change: AccessChange, id_: str, but: str | None = None) -> None:
    """End the sessions of a user, except one."""
    chosen = [CONSOLE_SESSIONS.c.user_id == id_]
    if but is not None:
        chosen.append(CONSOLE_SESSIONS.c.digest != but)
    await change.execute(delete(CONSOLE_SESSIONS).where(*chosen))


async def set_mapped(change: AccessChange, id_: str, grants: tuple[RoleGrant, ...]) -> None:
    """Replace the roles that the groups of a user give it."""
    await change.set_grants(user_holder(id_), grants, MAPPED)


def new_id() -> str:
    return f"u-{secrets.token_hex(8)}"


def new_user(id_: str, issuer: str, subject: str, name: str, now: float) -> dict[str, object]:
    """Return the row of a new user."""
    values: dict[str, object] = {"id": id_, "issuer": issuer, "subject": subject, "name": name}
    values |= {"password": "", "totp": "", "totp_step": 0, "is_disabled": 0, "logged_in_at": None}
    return values | {"created_at": now, "changed_at": now}


async def _covered(change: AccessChange, id_: str) -> User:
    """Return a user whose rights the author has too: else an admin could take over the account of an owner."""
    user = await change.queries.user(id_)
    if user is None:
        raise refusal("not_found", f"there is no user {id_!r}")
    await change.must_cover(user.grants)
    return user


async def _not_the_last_owner(change: AccessChange, user: User) -> None:
    if not change.author.may_change_last_owner and await change.queries.owners() == {user.id}:
        message = "this is the last owner who can log in; make another owner first, or use the admin token"
        raise refusal("conflict", message)
