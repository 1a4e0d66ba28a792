"""The lines of a batch's file, each checked, bounded and translated like a single request.

The file lives at one provider, which the first line's model has chosen. Every line must be one that this provider may
serve under the client's virtual key, with the same provider key. It is passed on as the provider would get it from the
gateway: under the provider's own name for the model, and with a maximum for its answer where a limit needs one.
"""

from time import monotonic, time

from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Try
from pointsman.domain.state import Pin
from pointsman.domain.targets import Candidate
from pointsman.engine.batch_sums import BatchSums
from pointsman.engine.engine import Engine
from pointsman.engine.heads import TABLE
from pointsman.engine.live import Live
from pointsman.providers import codec_for
from pointsman.routing.decide import decide
from pointsman.wire.batches import read_line, write_line
from pointsman.wire.json_object import rejection
from pointsman.wire.paths import ParsedHead

_OPERATIONS: frozenset[str] = frozenset({"chat", "completion", "embedding", "responses"})


class BatchLines:
    """Takes the lines of one file, for the provider and the key of `step`."""

    def __init__(self, engine: Engine, parsed: ParsedHead, key: VirtualKey | None, step: Try) -> None:
        self._engine = engine
        self._parsed = parsed
        self._key = key
        self._step = step
        self._view = Live(parsed.snapshot)
        self._view.faults.holds = engine.live.faults.holds  # the orders of operators hold
        self._endpoint = ""
        self._head: ParsedHead | None = None  # of every line
        self._sums = BatchSums(engine, key, parsed.snapshot)

    def work(self) -> str:
        """Return the sums over the lines taken so far, as text; empty if there are none."""
        return self._sums.work(self._endpoint)

    def take(self, number: int, text: bytes) -> bytes:
        """Take a line, and return it as it is passed on. Raises `Rejection`."""
        line = read_line(text)
        if number == 1:
            self._endpoint, self._head = line.url, self._head_for(line.path)
        elif line.url != self._endpoint:
            raise rejection(f"the url must be {self._endpoint!r}, as in the first line", "url")
        head = self._head
        assert head is not None
        assert head.api.parse is not None
        call = head.api.parse(head, line.body)
        if not call.model:
            raise rejection("the body names no model", "body.model")
        if call.stream:
            raise rejection("a batch has no streams; remove 'stream'", "body.stream")
        if call.fallbacks:
            raise rejection("a batch has no fallbacks, since its file is at one provider", "body.fallbacks")
        self._sums.name(call.model)
        call, candidate = self._decided(call)
        call = self._sums.add(call, candidate)
        codec = codec_for(candidate, call.operation, call.head.dialect)
        return write_line(line, codec.encode(call, candidate, self._step.key.blank()).body)

    def _head_for(self, path: str) -> ParsedHead:
        """Return the head of the requests in the file. Raises `Rejection` for a URL that no batch may have."""
        try:
            api = TABLE.find("POST", path)
        except Rejection:
            api = None
        if api is None or api.operation not in _OPERATIONS or api.dialect not in ("openai", "openai-responses"):
            names = "/v1/chat/completions, /v1/completions, /v1/embeddings or /v1/responses"
            raise rejection(f"the url must be {names}", "url")
        head = replace(
            self._parsed.head,
            path=path,
            dialect=api.dialect,
            content_type="application/json",
        )
        return ParsedHead(api, head, self._parsed.snapshot)

    def _decided(self, call: Call) -> tuple[Call, Candidate]:
        """Return the call as rules change it, and its candidate at the provider of the file. Raises `Rejection`."""
        engine, step, endpoint = self._engine, self._step, self._step.choice.candidate.endpoint
        if call.state is not None:
            unknown = engine.ownership.first_unowned(call, self._key, endpoint.name, step.key.name)
            if unknown is not None:
                message = (
                    f"the {unknown.kind} {unknown.id[:100]!r} is not known here as yours; use it in a request first"
                )
                raise rejection(message, f"body.{unknown.param or ''}")
        # The file is at one place, and its lines are carried out later: their target must not depend on present faults.
        call = replace(call, pin=Pin(endpoint.name, step.key.name, "the file", follows_rules=True))
        plan = decide(Facts(call, self._key, time()), self._view, engine.rng, monotonic())
        if isinstance(plan, Failure):
            raise Rejection(plan)
        call = plan.call or call
        if call.head.dialect not in endpoint.dialects and call.operation in ("chat", "responses"):
            raise rejection(f"provider {endpoint.name!r}, which has the file, does not serve {self._endpoint}", "url")
        return call, plan.choices[0].candidate
