"""The codec between two dialects: the client's call and answer, by the codec of the provider's own dialect.

A request is read by the client's dialect and written by the provider's; an answer is read by the provider's and written
by the client's (`wire.translation`). The provider's codec adds everything that is not the dialect: address, credential,
model, bound, errors. An error body of the provider is never shown to the client, since it has another shape.
"""

from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.conversations import Written
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Failed
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._broken import malformed
from pointsman.providers._error_table import Rules
from pointsman.providers._single_calls import SingleCallReader, cuts_calls, first_call
from pointsman.providers._translated_stream import TranslatedStream, failure_of
from pointsman.providers.api import (
    SERVER_SENT,
    Adapt,
    AnswerScan,
    Codec,
    Form,
    MakeSplitter,
    StreamDecoder,
    WholeAnswer,
)
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.translation import Halves, ProviderHalves, does_reason, translate


class TranslatedCodec(Struct, frozen=True, kw_only=True, eq=False):
    """A `Codec` for calls in a client's dialect, `ours`, at a provider whose codec `native` speaks another one,
    `theirs`. `operation` and `head` are those of each request to the provider. `head` is one object, since the
    provider's codec keeps header lines by it."""

    native: Codec
    ours: Halves
    theirs: ProviderHalves
    operation: Operation
    head: RequestHead
    errors: Rules = ()
    adapt: Adapt | None = None
    splitter: MakeSplitter = SERVER_SENT
    is_translating: bool = True

    @property
    def dialect(self) -> str:
        return self.native.dialect

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        written = translate(self.ours, self.theirs, call, reasons=does_reason(candidate, call))
        if written.cannot:
            raise failures.Rejection(cannot_express(written))
        fields = written.fields
        for name in self.theirs.bounds:
            fields.pop(name, None)
        if self.adapt is not None:
            fields = self.adapt(fields, candidate.names_at(key), call.max_tokens)
        request = self.native.encode(self._inner(call, fields), candidate, key, attempt_id, now_unix_s)
        return replace(request, dropped=(*written.dropped, *request.dropped)) if written.dropped else request

    def _inner(self, call: Call, fields: dict[str, Raw] | None = None) -> Call:
        """Return the call as a client of the provider's dialect would send it."""
        return replace(
            call,
            operation=self.operation,
            head=self.head,
            fields=fields if fields is not None else call.fields,
            raw_body=None,
            stated_tokens=None if self.theirs.bounds else call.max_tokens,
            wants_usage=False,
            stateful=False,
            state=None,
        )

    def is_answer(self, status: int) -> bool:
        return self.native.is_answer(status)

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "events" if call.stream else "whole"

    def decode(
        self, call: Call, body: bytes, *, as_stream: bool = False, now_unix_s: float = 0.0
    ) -> WholeAnswer | failures.Failure:
        found = self.native.decode(self._inner(call), body)
        if isinstance(found, failures.Failure):
            return replace(found, body=None)
        try:
            pieces = self.theirs.read_answer(found.body)
        except UNREADABLE as error:
            return malformed(error)
        if cuts_calls(self.ours, self.theirs, call):
            pieces = first_call(pieces)
        for piece in pieces:
            if type(piece) is Failed:
                return failure_of(piece, self.errors)
        if as_stream:
            return WholeAnswer(self.ours.writer(call, now_unix_s).write(pieces), found.usage, found.refused)
        return WholeAnswer(self.ours.write_answer(call, now_unix_s, pieces), found.usage, found.refused)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:
        theirs, reader = self.theirs, self.theirs.reader()
        stream = TranslatedStream(
            SingleCallReader(reader) if cuts_calls(self.ours, theirs, call) else reader,
            self.ours.writer(call, now_unix_s),
            errors=self.errors,
            ends_with_finish=theirs.ends_with_finish,
            holds_many=theirs.holds_many,
            max_event_bytes=max_event_bytes,
            splitter=self.splitter,
        )
        stream.heartbeat = self.ours.heartbeat
        return stream

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        return self.native.counts(self._inner(call), is_committed=is_committed)

    def scan(self) -> AnswerScan:
        return self.native.scan()

    def usage_in(self, body: bytes) -> Usage | None:
        return self.native.usage_in(body)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> failures.Failure:
        return replace(self.native.failure(status, headers, body, now_unix_s), body=None)


def cannot_express(written: Written) -> failures.Failure:
    """Return the failure of a call that its provider's dialect cannot express."""
    return failures.Failure(failures.NOT_SUPPORTED, f"the provider's API cannot express {written.reasons}")
