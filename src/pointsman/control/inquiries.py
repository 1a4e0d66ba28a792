"""The inquiries of the admin process, and the items of control's answers."""

from typing import Literal

from msgspec import Struct

from pointsman.domain.holds import Hold
from pointsman.telemetry.process import ProcessUse

# Inquiries.


class StateInquiry(Struct, frozen=True, tag="state"):
    """Answered by one `ControlState`."""


class BudgetInquiry(Struct, frozen=True, tag="budgets"):
    """Answered by a `LimitState` for each window of one owner or all, including past windows, up to `most`."""

    owner: str | None
    past: bool
    most: int


class LimitInquiry(Struct, frozen=True, tag="limits"):
    """Answered by a `LimitState` for the present window of each limit in `limits_to_list`, up to `most`."""

    most: int


class PageInquiry(Struct, frozen=True, tag="pages"):
    """Answered by a `WorkerPage` of each worker that sends it in time."""

    within_s: float


class NameInquiry(Struct, frozen=True, tag="names"):
    """Answered by the kinds of the names that the configuration does not have. Names by kind."""

    names: dict[str, str]


class VariantInquiry(Struct, frozen=True, tag="variants"):
    """Answered by a `TargetState` for each target of one public name or of all that the store counts by target."""

    model: str | None


class Reconcile(Struct, frozen=True, tag="reconcile"):
    """Answered by one `ReconcileOutcome`. Nano-dollars by `attempt_id`."""

    amounts: dict[str, int]


class Reload(Struct, frozen=True, tag="reload"):
    """Answered by one `ReloadOutcome`."""


class PlaceHold(Struct, frozen=True, tag="place_hold"):
    """Answered by one `HoldOutcome`."""

    hold: Hold


class ReleaseHold(Struct, frozen=True, tag="release_hold"):
    """Answered by one `HoldOutcome`."""

    name: str


class ExplainInquiry(Struct, frozen=True, tag="explain"):
    """Answered by one `Explained`. `question` is an `engine.questions.Question` in JSON."""

    question: bytes


class ExportInquiry(Struct, frozen=True, tag="export"):
    """Answered by one `ExportSettings`, or by none if there is no collector."""


AnyInquiry = (
    StateInquiry
    | BudgetInquiry
    | LimitInquiry
    | PageInquiry
    | NameInquiry
    | VariantInquiry
    | Reconcile
    | Reload
    | ExplainInquiry
    | PlaceHold
    | ReleaseHold
    | ExportInquiry
)


# Items of answers.


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


class LimitState(Struct, frozen=True, kw_only=True):
    """One limit in one window. Amounts are nano-dollars, tokens or requests, depending on `metric`. `posted` is known
    spending. `lent` is leased to workers: reserved, spent but not ingested yet, or idle. `limit` is absent if it is no
    longer configured; a `soft` one rejects nothing. Times are Unix seconds."""

    owner: str
    metric: str
    period: str
    window_start: int
    window_end: int | None
    limit: int | None
    soft: bool
    posted: int
    lent: int


class TargetState(Struct, frozen=True, kw_only=True):
    """One target of a public name. `target` is `provider/model`. `share` is that of its weight. By priority the first
    one has all; other strategies configure none. `sticky` is the value that the name's split is kept by, if any."""

    model: str
    target: str
    variant: str
    share: float | None
    sticky: str | None
    is_canary: bool


class WorkerPage(Struct, frozen=True):
    """The metrics of one worker as `telemetry.metrics` encodes them."""

    epoch: int
    page: bytes


class ReconcileOutcome(Struct, frozen=True):
    """The reasons for rejected attempts, by `attempt_id`; `problem` is the reason if none could be reconciled."""

    refused: dict[str, str]
    problem: str | None = None


class ReloadOutcome(Struct, frozen=True):
    """The end of a reload. `is_taken` means that every worker has the configuration."""

    is_taken: bool
    messages: list[str]
    digest: str


class HoldOutcome(Struct, frozen=True):
    """The end of an order: `problem` is the reason if it is not in force. `code` is `not_found` if nothing has its
    name, and `too_many_holds` if others must be released first. Otherwise the store is at fault."""

    problem: str | None = None
    code: Literal["", "not_found", "too_many_holds"] = ""


class Explained(Struct, frozen=True):
    """A decision in JSON and as lines of text, or the reason why the question cannot be answered."""

    decision: bytes
    lines: list[str] = []
    problem: str | None = None


class ExportSettings(Struct, frozen=True, kw_only=True):
    """The collector of OpenTelemetry, and the settings of the export to it. `headers` and `proxy_authorization` are
    secrets, which admin gets for nothing else. `proxy` is scheme, host and port. `types` are the types of providers by
    name. Times are in seconds."""

    scheme: str
    host: str
    port: int
    base_path: str
    headers: dict[str, str]
    signals: tuple[str, ...]
    timeout_s: float
    connect_timeout_s: float
    metrics_interval_s: float
    ratio: float
    errors: bool
    slow_s: float | None
    service_name: str
    attributes: dict[str, str]
    types: dict[str, str]
    proxy: tuple[str, str, int] | None = None
    proxy_authorization: str = ""
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def __repr__(self) -> str:
        return f"ExportSettings({self.scheme}://{self.host}:{self.port})"
