"""Records of the audit log about users, roles, service tokens and sessions: each in the transaction of its change."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import asdict, replace

from pointsman.control.access.changes import AccessChange
from pointsman.control.inquiries.access import (
    CreateServiceToken,
    CreateUser,
    DeleteRole,
    DeleteServiceToken,
    SetRole,
)
from pointsman.control.inquiries.logins import CloseSession
from pointsman.domain.audit import AuditEvent, difference
from pointsman.domain.users import User

Make = Callable[[AccessChange, Any], Awaitable[str]]

_ACTIONS = {"set_own_password": "set password", "end_sessions": "end sessions"}
_OF_USERS = ("id", "name", "issuer", "subject", "password", "totp", "is_disabled")


def audited(make: Make, inquiry: Any) -> Callable[[AccessChange], Awaitable[str]]:
    """Return a change that records the difference it makes."""

    async def made(change: AccessChange) -> str:
        kind = _kind_of(inquiry)
        name = None if isinstance(inquiry, CreateUser) else getattr(inquiry, "id", None) or inquiry.name
        before = await _state(change, kind, name) if name is not None else None
        found = await make(change, inquiry)
        after = await _state(change, kind, found)
        label = str((after or before or {}).get("label", found))
        action = _ACTIONS.get(make.__name__) or make.__name__.replace(f"_{kind}", "").replace("_", " ")
        _record(change, AuditEvent(action=action, kind=kind, name=label, changes=_changes(kind, label, before, after)))
        return found

    return made


def audited_session(make: Make, inquiry: Any) -> Callable[[AccessChange], Awaitable[str]]:
    """Return a change of a session that records a login, a logout, or other roles of the user."""

    async def made(change: AccessChange) -> str:
        before = await _user_before(change, inquiry)
        found = await make(change, inquiry)
        user = await change.queries.user(found) if found else None
        if user is None or change.audited is None:
            return found
        states = [_user_state(one) if one is not None else None for one in (before, user)]
        fields = _changes("user", user.label, *states)
        action = {"open_session": "log in", "sign_on": "log in", "close_session": "log out"}.get(make.__name__)
        if action is None and not fields:
            return found
        actor = replace(change.audited.actor, name=user.label)
        change.audited.actor = replace(actor, address=getattr(inquiry, "address", "") or actor.address)
        note = inquiry.reason if isinstance(inquiry, CloseSession) else getattr(inquiry, "provider", "")
        kind = "session" if action is not None else "user"
        _record(change, AuditEvent(action=action or "confirm", kind=kind, name=user.label, note=note, changes=fields))
        return found

    return made


def _record(change: AccessChange, event: AuditEvent) -> None:
    if change.audited is not None:
        change.audited.record(event)


def _kind_of(inquiry: Any) -> str:
    if isinstance(inquiry, SetRole | DeleteRole):
        return "role"
    return "token" if isinstance(inquiry, CreateServiceToken | DeleteServiceToken) else "user"


async def _state(change: AccessChange, kind: str, name: str) -> dict[str, Any] | None:
    if kind == "user":
        user = await change.queries.user(name)
        return _user_state(user) if user is not None else None
    if kind == "token":
        token = await change.queries.token(name)
        return {**asdict(token), "grants": _grants(token.grants)} if token is not None else None
    roles = {one.name: one for one in await change.queries.custom_roles()}
    role = roles.get(name)
    return {"permissions": sorted(role.permissions), "note": role.note} if role is not None else None


async def _user_before(change: AccessChange, inquiry: Any) -> User | None:
    """Return the user of a session before its change. Password logins change none."""
    if (issuer := getattr(inquiry, "issuer", None)) is not None:
        return await change.queries.user_of(issuer, inquiry.subject)
    if (id_ := getattr(inquiry, "user_id", None)) is not None:
        return await change.queries.user(id_)
    session = await change.queries.session(inquiry.digest)
    return await change.queries.user(session.user_id) if session is not None else None


def _user_state(user: User) -> dict[str, Any]:
    shown = {name: getattr(user, name) for name in _OF_USERS}
    return {**shown, "label": user.label, "roles": _grants(user.granted), "roles_of_groups": _grants(user.mapped)}


def _grants(grants: Any) -> list[str]:
    return [f"{one.role}@{one.scope}" for one in grants]


def _changes(kind: str, label: str, before: Any, after: Any) -> Any:
    """Return the difference of two states, of which the label is no part."""
    states = [
        {name: one for name, one in state.items() if name != "label"} if state else None for state in (before, after)
    ]
    return difference(kind, label, *states)
