"""A client's dialect: everything that depends on how the clients of one API speak.

No other package knows the name of a field of a request. Facts that every request needs are computed when its body is
parsed, and are stored in the call. The functions here compute facts that only some requests need.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.operations import Operation
from pointsman.wire.embeddings import EmbeddingHalves
from pointsman.wire.paths import ApiPath
from pointsman.wire.translation import Halves
from pointsman.wire.unbounded import Unbounded


class Dialect(Struct, frozen=True, kw_only=True, eq=False):
    """The functions of one dialect. `error_body` and `error_headers` report a failure to a client. `needs` returns
    those of some capabilities that a call needs. `prompt_tokens` estimates the tokens of its prompt. `unbounded` is
    the part of its cost that the bytes do not bound, `None` for nearly all. `service_tier` is the tier that it
    names. `takes_bound` says that it has a field for the most tokens of an answer. `is_free` says that no provider
    charges for it. `continues_unread` says that a provider continues the call even if nobody reads its answer.
    `halves` translate a conversation from and to other dialects; `None` if the dialect has none. A conversation is
    then requested by `operation`, at `path`. `id_header` names the header of the request's id that its SDKs read,
    beside `x-request-id`. `own_answer` is the gateway's own answer to a call that no provider can express, if it has
    one. `stored` describes the objects stored at a provider that a call needs or creates; it is empty for most
    calls, and for those that only may create one. `lists_events` says that a client gets the events of a stream as
    one JSON list, in dialects that have such clients. `embeddings` translate requests for
    embeddings. `paths` are the paths of its API that no file of `wire.api`
    has."""

    name: str
    error_body: Callable[[Failure, str], bytes]
    error_headers: Callable[[Failure, bool | None], bytes]
    needs: Callable[[Call, Iterable[str]], set[str]]
    prompt_tokens: Callable[[Call], int]
    unbounded: Callable[[Call], Unbounded | None]
    service_tier: Callable[[Call], str | None]
    takes_bound: Callable[[Call], bool]
    is_free: Callable[[Call], bool]
    continues_unread: Callable[[Call], bool]
    halves: Halves | None = None
    operation: Operation = "chat"
    path: str = ""
    id_header: str = ""
    own_answer: Callable[[Call], bytes | None] | None = None
    stored: Callable[[Call], str] | None = None
    lists_events: Callable[[Call], bool] | None = None
    embeddings: EmbeddingHalves | None = None
    paths: Sequence[ApiPath] = ()
