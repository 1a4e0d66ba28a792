"""Logins at the console, and its sessions."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pointsman.control.access.attempts import count_attempt
from pointsman.control.access.auditing import audited_session
from pointsman.control.access.changes import AccessChange, change
from pointsman.control.access.sessions import (
    close_session,
    confirm_session,
    open_session,
    refresh_token,
    sign_on,
    touch_session,
)
from pointsman.control.inquiries.access import Author
from pointsman.control.inquiries.logins import (
    CloseSession,
    ConfirmSession,
    LoginAttempt,
    LoginVerdict,
    OpenSession,
    RefreshInquiry,
    SessionOutcome,
    SignOn,
    TouchSession,
)
from pointsman.control.members import end_lost_keys
from pointsman.control.parts import Answers, ControlParts
from pointsman.domain.rights import Rights

_logger = logging.getLogger(__name__)

NOBODY = Author("nobody", Rights())


async def _attempt(inquiry: LoginAttempt, parts: ControlParts) -> list[LoginVerdict]:
    waits: list[float] = []

    async def count(one: AccessChange) -> str:
        waits.append(await count_attempt(one, inquiry))
        return ""

    (outcome,) = await change(parts, NOBODY, count, is_audited=False)
    return [LoginVerdict(waits[0] if waits else 0.0, outcome.problem)]


def _by(
    make: Callable[[AccessChange, Any], Awaitable[str]],
) -> Callable[[Any, ControlParts], Awaitable[list[SessionOutcome]]]:
    async def answer(inquiry: Any, parts: ControlParts) -> list[SessionOutcome]:
        (outcome,) = await change(parts, NOBODY, audited_session(make, inquiry), is_audited=make is not touch_session)
        if outcome.code or make in (open_session, sign_on, close_session):
            end = f"failed: {outcome.problem}" if outcome.code else outcome.name
            _logger.info("%s from %s: %s", make.__name__.replace("_", " "), getattr(inquiry, "address", ""), end)
        if make in (sign_on, confirm_session):  # the groups may have changed
            await end_lost_keys(parts.ingest.store, parts.keys)
        known = ("", "unauthorized", "code_required", "forbidden")
        code: Any = outcome.code if outcome.code in known else "unavailable"
        return [SessionOutcome(code, outcome.problem, outcome.name)]

    return answer


async def _refresh_token(inquiry: RefreshInquiry, parts: ControlParts) -> list[SessionOutcome]:
    (outcome,) = await change(parts, NOBODY, lambda one: refresh_token(one, inquiry), is_audited=False)
    return [SessionOutcome("unavailable" if outcome.code else "", outcome.problem, refresh=outcome.name)]


ANSWERS: Answers = {
    LoginAttempt: _attempt,
    OpenSession: _by(open_session),
    SignOn: _by(sign_on),
    ConfirmSession: _by(confirm_session),
    TouchSession: _by(touch_session),
    CloseSession: _by(close_session),
    RefreshInquiry: _refresh_token,
}
