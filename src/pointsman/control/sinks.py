"""The sinks of the request log for the admin process, which has no configuration of its own."""

from collections.abc import Mapping

from pointsman.config.settings import NO_FILTER, Filter, LogSink
from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.sinks import Conditions, SinkState
from pointsman.control.recipients import Recipient, recipient_fields
from pointsman.domain.requirements import Tag


def sink_states(compiled: Compiled) -> list[SinkState]:
    """Return the sinks with their secrets."""
    return [_state(one, compiled) for one in compiled.telemetry.sinks]


def conditions_of(compiled: Compiled, tags: Mapping[str, tuple[Tag, ...]], chosen: Filter = NO_FILTER) -> Conditions:
    """Return the conditions for records to go to a place with these tags."""
    return Conditions(
        tags=dict(tags), require=compiled.snapshot.require, filter=chosen, redaction=compiled.telemetry.redaction
    )


def _state(sink: LogSink, compiled: Compiled) -> SinkState:
    bodies = compiled.telemetry.bodies
    return SinkState(
        name=sink.name,
        type=sink.type,
        conditions=conditions_of(compiled, sink.tags, sink.filter),
        recipient=Recipient(**recipient_fields(sink.server)) if sink.server is not None else None,
        secrets=tuple(secret.reveal() for secret in sink.secrets),
        key_id=sink.key_id,
        region=sink.region,
        path=sink.path,
        max_bytes=sink.max_bytes,
        keep=sink.keep,
        batch_s=sink.batch_s,
        body_bytes=bodies.max_bytes if bodies is not None and sink.has_bodies else 0,
    )
