"""The parts of the control process that answer the admin process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pointsman.control.configuration import Configuration
from pointsman.control.ingest import Ingest
from pointsman.control.lease_server import LeaseServer
from pointsman.money.leases import LeaseTable

AT_ONCE = 200  # windows checked, or items sent, before the event loop serves the workers again


class ControlParts(Struct, eq=False, frozen=True):
    """The parts of the control process."""

    lease_table: LeaseTable
    ingest: Ingest
    lease_server: LeaseServer
    configuration: Configuration


Answers = Mapping[type[Struct], Callable[[Any, ControlParts], Awaitable[Sequence[object]]]]
"""The coroutine for each class of inquiries. It gets the inquiry, and returns the items of the answer."""
