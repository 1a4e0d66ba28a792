"""The sums over the lines of a batch's file: the note that its owner's record keeps of it."""

from pointsman.domain.batches import BatchWork, ModelWork, encode_work
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.engine.engine import Engine
from pointsman.money.batches import with_line
from pointsman.routing.model_rights import line_rights
from pointsman.wire.json_object import rejection

MAX_MODELS = 20  # of one file
MAX_NAMES = 100  # for them


class BatchSums:
    """Sums the lines of one file, which a virtual key uploads."""

    def __init__(self, engine: Engine, key: VirtualKey | None, snapshot: Snapshot) -> None:
        self._engine = engine
        self._key = key
        self._snapshot = snapshot
        self._models: dict[str, ModelWork] = {}
        self._names: dict[str, None] = {}  # that clients requested
        self._is_bounded = True

    def work(self, endpoint: str) -> str:
        """Return the sums over the lines so far, as text; empty if there are none. `endpoint` is their path."""
        if not self._models:
            return ""
        work = BatchWork(
            endpoint=endpoint,
            models=tuple(self._models.values()),
            is_bounded=self._is_bounded,
            names=tuple(self._names),
            rights=line_rights(self._key, self._snapshot),
        )
        return encode_work(work)

    def name(self, requested: str) -> None:
        """Note the name that a line requests. Raises `Rejection`."""
        self._names[requested] = None
        if len(self._names) > MAX_NAMES:
            raise rejection(f"the file names models in more than {MAX_NAMES} ways; split it", "body.model")

    def add(self, call: Call, candidate: Candidate) -> Call:
        """Add a line, and return it with a maximum for its answer if it needs one. Raises `Rejection`."""
        billing_terms = self._engine.billing.terms_cache.find_for(call, self._key, candidate)
        found = billing_terms.bounded(call)
        if isinstance(found, Reason):
            raise rejection(f"{candidate.id}: {found.message}", "body.model")
        call, bound = found
        known = self._models.get(candidate.model)
        if known is None and len(self._models) >= MAX_MODELS:
            raise rejection(f"the file names more than {MAX_MODELS} models; split it", "body.model")
        known = known or ModelWork(candidate.model, lines=0, tokens_in=0, tokens_out=0)
        self._models[candidate.model], has_maximum = with_line(known, billing_terms.terms, call, bound.nano)
        self._is_bounded &= has_maximum
        return call
