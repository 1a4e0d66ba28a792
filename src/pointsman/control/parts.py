"""The parts of the control process that answer the admin process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pointsman.config.snapshot_file import Compiled
from pointsman.control.anchor import AnchorFile
from pointsman.control.audit_log import AuditedCall, AuditLog
from pointsman.control.child_keys import ChildAnswers
from pointsman.control.configuration import Configuration
from pointsman.control.events import EventLog
from pointsman.control.ingest import Ingest
from pointsman.control.key_file import KeyFile
from pointsman.control.keys import KeyBook
from pointsman.control.lease_server import LeaseServer
from pointsman.control.loaded import LoadedConfigurations
from pointsman.control.resource_book import ResourceBook
from pointsman.domain.audit import Actor
from pointsman.money.leases import LeaseTable

AT_ONCE = 200  # windows checked, or items sent, before the event loop serves the workers again


class ControlParts(Struct, eq=False, frozen=True, kw_only=True):
    """The parts of the control process. `actor` makes the call that they answer."""

    lease_table: LeaseTable
    ingest: Ingest
    lease_server: LeaseServer
    configuration: Configuration
    book: ResourceBook
    keys: KeyBook
    events: EventLog
    audit: AuditLog
    actor: Actor = Actor()

    @property
    def call(self) -> AuditedCall:
        """The call that is answered."""
        return AuditedCall(self.audit, self.actor)

    @classmethod
    def of(
        cls, lease_table: LeaseTable, ingest: Ingest, lease_server: LeaseServer, configuration: Configuration
    ) -> "ControlParts":
        """Put the parts together."""
        events = configuration.events
        audit = AuditLog(lambda: AnchorFile(configuration.current.settings.data_dir, configuration.master_keys()))
        book = ResourceBook(configuration, audit, lambda: ingest.store, lease_server.slots_of, events.publish)
        ingest.on_open.append(book.load)

        def current() -> Compiled:
            return configuration.current

        file = KeyFile(configuration.current.settings.data_dir, configuration.environ, current)
        keys = KeyBook(lambda: ingest.store, file, current, lease_server.key_server, audit)
        ingest.on_open.append(keys.load)
        loaded = LoadedConfigurations(audit, lambda: ingest.store, current)
        ingest.on_open.append(loaded.opened)
        configuration.on_loaded = loaded.loaded
        configuration.keys = keys
        lease_server.key_server.on_make_key = ChildAnswers(keys).answer
        return cls(
            lease_table=lease_table,
            ingest=ingest,
            lease_server=lease_server,
            configuration=configuration,
            book=book,
            keys=keys,
            events=events,
            audit=audit,
        )


Answers = Mapping[type[Struct], Callable[[Any, ControlParts], Awaitable[Sequence[object]]]]
"""The coroutine for each class of inquiries. It gets the inquiry, and returns the items of the answer."""
