"""Changes of users, roles and service tokens."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pointsman.control.access.auditing import audited
from pointsman.control.access.changes import AccessChange, change
from pointsman.control.access.roles import create_token, delete_role, delete_token, set_role
from pointsman.control.access.totp import confirm_totp, drop_totp
from pointsman.control.access.users import change_user, create_user, delete_user, end_sessions, set_own_password
from pointsman.control.inquiries.access import (
    AccessOutcome,
    ChangeUser,
    ConfirmTotp,
    CreateServiceToken,
    CreateUser,
    DeleteRole,
    DeleteServiceToken,
    DeleteUser,
    DropTotp,
    EndSessions,
    SetOwnPassword,
    SetRole,
)
from pointsman.control.members import end_lost_keys
from pointsman.control.parts import Answers, ControlParts

_ENDING = (change_user, delete_user, set_role, delete_token)  # these may take a right to keys away
_logger = logging.getLogger(__name__)


def _by(
    make: Callable[[AccessChange, Any], Awaitable[str]],
) -> Callable[[Any, ControlParts], Awaitable[list[AccessOutcome]]]:
    async def answer(inquiry: Any, parts: ControlParts) -> list[AccessOutcome]:
        (outcome,) = await change(parts, inquiry.author, audited(make, inquiry), getattr(inquiry, "repeat", None))
        if not outcome.code and not outcome.is_replayed:
            action = make.__name__.replace("_", " ")
            _logger.info("%s from %s: %s %s", inquiry.author.name, inquiry.author.address, action, outcome.name)
            if make in _ENDING:
                await end_lost_keys(parts.ingest.store, parts.keys)
        return [outcome]

    return answer


ANSWERS: Answers = {
    CreateUser: _by(create_user),
    ChangeUser: _by(change_user),
    DeleteUser: _by(delete_user),
    EndSessions: _by(end_sessions),
    SetOwnPassword: _by(set_own_password),
    ConfirmTotp: _by(confirm_totp),
    DropTotp: _by(drop_totp),
    SetRole: _by(set_role),
    DeleteRole: _by(delete_role),
    CreateServiceToken: _by(create_token),
    DeleteServiceToken: _by(delete_token),
}
