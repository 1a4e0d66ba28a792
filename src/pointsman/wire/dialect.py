"""A client's dialect: everything that depends on how the clients of one API speak.

No other package knows the name of a field of a request. Facts that every request needs are computed when its body is
parsed, and are stored in the call. The functions here compute facts that only some requests need.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.wire.unbounded import Unbounded


class Dialect(Struct, frozen=True, kw_only=True, eq=False):
    """The functions of one dialect. `error_body` and `error_headers` report a failure to a client. `needs` returns
    those of some capabilities that a call needs. `prompt_tokens` estimates the tokens of its prompt. `unbounded` is the
    part of its cost that the bytes do not bound, `None` for nearly all. `service_tier` is the tier that it names.
    `takes_bound` says that it has a field for the most tokens of an answer. `is_free` says that no provider charges for
    it. `runs_unread` says that a provider continues the call even if nobody reads its answer."""

    name: str
    error_body: Callable[[Failure, str], bytes]
    error_headers: Callable[[Failure, bool | None], bytes]
    needs: Callable[[Call, Iterable[str]], set[str]]
    prompt_tokens: Callable[[Call], int]
    unbounded: Callable[[Call], Unbounded | None]
    service_tier: Callable[[Call], str | None]
    takes_bound: Callable[[Call], bool]
    is_free: Callable[[Call], bool]
    runs_unread: Callable[[Call], bool]
