"""The state of control and its data."""

from time import time

from pointsman.control.inquiries.state import ControlState, StateInquiry, WorkerState
from pointsman.control.parts import Answers, ControlParts
from pointsman.domain.snapshots import has_canaries
from pointsman.telemetry.process import process_use


async def _state(_: StateInquiry, parts: ControlParts) -> list[ControlState]:
    state, configuration = parts.ingest.state, parts.configuration
    workers = [
        WorkerState(one.hello.slot, one.hello.epoch, one.hello.pid, one.digest, one.is_draining)
        for one in parts.lease_server.workers
        if one.hello is not None
    ]
    found = ControlState(
        digest=configuration.digest,
        config_refused=configuration.rejected or [],
        workers=sorted(workers, key=lambda one: (one.slot, one.epoch)),
        store="ok" if state.problem is None else state.problem,
        commits=state.commits,
        records=state.records,
        journal_damage=state.damage,
        refused_records=state.rejected,
        backlog_bytes=parts.ingest.backlog_bytes(),
        caught_up_s=max(0.0, time() - state.caught_up_at) if state.caught_up_at else None,
        taken_at=configuration.taken_at,
        reloads=configuration.reloads,
        refusals=configuration.rejections,
        has_canaries=has_canaries(configuration.current.snapshot),
        holds=parts.lease_server.holds.present() or [],
        use=process_use(),
    )
    return [found]


ANSWERS: Answers = {StateInquiry: _state}
