"""The state of control and its data."""

from msgspec import Struct

from pointsman.domain.holds import Hold
from pointsman.telemetry.process import ProcessUse


class StateInquiry(Struct, frozen=True, tag="state"):
    """Answered by one `ControlState`."""


class WorkerState(Struct, frozen=True):
    """A worker that is connected, and the digest of its snapshot."""

    slot: int
    epoch: int
    pid: int
    digest: str
    draining: bool


class ControlState(Struct, frozen=True, kw_only=True):
    """The state of control and its data. `taken_at` (Unix seconds) is when the configuration came into force.
    `config_refused` lists the problems of the file on disk while an older one is in force. `store` is `ok`, or the
    reason why it is unusable. `backlog_bytes` are in journals but not in the store yet, in whole segments;
    `caught_up_s` is the time in seconds since there were none. `journal_damage` counts skipped places since the start,
    `refused_records` the lines of the file `quarantine.jsonl`. `has_canaries` is true if some
    target is a canary. `holds` are the orders of operators, and `use` is
    control's use of the machine."""

    digest: str
    config_refused: list[str]
    workers: list[WorkerState]
    store: str
    commits: int
    records: int
    journal_damage: int
    refused_records: int
    backlog_bytes: int
    caught_up_s: float | None
    taken_at: float
    reloads: int
    refusals: int
    has_canaries: bool = False
    holds: list[Hold] = []
    use: ProcessUse = ProcessUse()
