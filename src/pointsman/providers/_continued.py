"""The codec of an attempt that continues an answer of another attempt, which broke off after its first content."""

from functools import cache, lru_cache

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._translated import TranslatedCodec
from pointsman.providers.api import NO_STREAM, Adapt, Prefill, WholeAnswer


class ContinuedCodec(TranslatedCodec, frozen=True, kw_only=True, eq=False):
    """A `Codec` for a request that ends with the text so far, which the provider continues by `prefill`. Answers are
    read and written even if client and provider speak one dialect, since ids and numbers must go on. In that case the
    fields of the client `pass` unread, so that none is lost."""

    prefill: Prefill
    passes: bool

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        if not self.passes:
            return super().encode(call, candidate, key, attempt_id, now_unix_s)
        head = at_path(call.head, self.prefill.path) if self.prefill.path else call.head
        marked = replace(call, head=head, fields=self.prefill.mark(call.fields))
        return self.native.encode(marked, candidate, key, attempt_id, now_unix_s)

    def decode(
        self,
        call: Call,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
        *,
        as_stream: bool = False,  # noqa: ARG002
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> WholeAnswer | Failure:
        return NO_STREAM


@lru_cache(maxsize=1024)  # of a client's heads
def at_path(head: RequestHead, path: str) -> RequestHead:
    """Return a client's head with another path. It is one object for each head: codecs keep header lines by it."""
    return replace(head, path=path)


@cache  # of the dialects and their paths
def own_head(path: str, dialect: str) -> RequestHead:
    """Return the head of requests that the gateway itself writes in a dialect."""
    return RequestHead(path=path, dialect=dialect, content_type="application/json")


def marking(adapt: Adapt | None, prefill: Prefill) -> Adapt:
    """Return the changes to the fields of a translated request whose last message is continued."""

    def adapted(fields: dict[str, Raw], model: str, max_tokens: int | None) -> dict[str, Raw]:
        return prefill.mark(fields if adapt is None else adapt(fields, model, max_tokens))

    return adapted
