"""Records refused changes and failed logins in the audit log. Changes that were made are recorded by control.

Their number is bounded for each source, so that nobody can fill the disk: the rest are counted, and the count is
recorded.
"""

import logging
from time import monotonic

from fastapi import Request
from msgspec import Struct

from pointsman.admin.call_inquirer import actor_of
from pointsman.admin.services import Services
from pointsman.control.inquiries.audit import AuditOutcome, RecordCall
from pointsman.domain.audit import AuditEvent
from pointsman.link.inquirer import AwayError

WINDOW_S = 3600.0
AT_MOST = 300  # records of one source in a window
STRANGERS = "strangers"  # the source of all calls without a known caller

_logger = logging.getLogger(__name__)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_READS = frozenset({"/api/v1/explain", "/api/v1/me/totp"})  # they change nothing, whatever their method
_ACTIONS = {"POST": "create", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


class _RefusalCount(Struct):
    since: float
    count: int = 0
    left_out: int = 0


class RefusalGate:
    """Counts the records of each source."""

    def __init__(self) -> None:
        self._windows: dict[str, _RefusalCount] = {}

    def admit(self, source: str, now: float) -> int | None:
        """Count a refusal at this monotonic time. Return how many earlier ones were left out and are not told yet, or
        `None` if this one is left out too. Within a window, the count is told at each power of ten."""
        window = self._windows.get(source)
        if window is None or now - window.since >= WINDOW_S:
            left_out = window.left_out if window is not None else 0
            self._windows = {name: one for name, one in self._windows.items() if now - one.since < WINDOW_S}
            self._windows[source] = _RefusalCount(now, 1)
            return left_out
        window.count += 1
        if window.count <= AT_MOST:
            return 0
        window.left_out += 1
        return window.left_out if str(window.left_out).strip("0") == "1" and window.left_out > 1 else None


async def record_refusal(services: Services, gate: RefusalGate, request: Request, status: int) -> None:
    """Record a call that was answered by a client's error, unless control did."""
    if not 400 <= status < 500 or getattr(request.state, "is_recorded", False):
        return
    actor, path = actor_of(request), request.url.path
    is_login = path == "/api/v1/login" or path.endswith("/callback")
    is_guess = status == 401 and "authorization" in request.headers
    is_change = request.method not in _SAFE and path not in _READS
    if not (is_change or is_guess or (is_login and status != 404)):
        return
    source = actor.name if getattr(request.state, "caller", None) is not None else STRANGERS
    left_out = gate.admit(source, monotonic())
    if left_out is None:
        return
    outcome = f"refused: {getattr(request.state, 'code', status)}"
    note = f"{left_out} more before were left out" if left_out else ""
    if is_login or is_guess:
        name = str(getattr(request.state, "account", ""))
        event = AuditEvent(action="log in", kind="session", name=name, outcome=outcome, note=note)
    else:
        event = _event(request.method, path, outcome, note)
    try:
        (found,) = await services.control.ask_for(actor, RecordCall(event), AuditOutcome)
        problem = found.problem
    except AwayError as error:
        problem = str(error)
    if problem:
        _logger.warning("the audit log does not have a refused call (%s %s): %s", request.method, path, problem)


def _event(method: str, path: str, outcome: str, note: str) -> AuditEvent:
    """Return the event of a refused call. The object is the one in its path."""
    kind, _, name = path.removeprefix("/api/v1/").partition("/")
    action = _ACTIONS.get(method, method.lower())
    return AuditEvent(action=action, kind=kind.removesuffix("s"), name=name, outcome=outcome, note=note)
