"""The sinks of the request log, a file each: `OPEN` returns the outlet for a `SinkState`."""

from collections.abc import Callable
from typing import cast

from pointsman.admin.following import Outlet
from pointsman.control.inquiries.sinks import SinkState
from pointsman.registry import members

SINKS: dict[str, Callable[[SinkState], Outlet]] = {
    name: cast("Callable[[SinkState], Outlet]", found) for name, found in members(__name__, "OPEN")
}
