"""A client's dialect: everything that depends on how the clients of one API speak.

No other package knows the name of a field of a request. Facts that every request needs are worked out when its body is
parsed, and stand in the call; the functions here are for those that only some requests need.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.wire.unbounded import Unbounded


class Dialect(Struct, frozen=True, kw_only=True, eq=False):
    """`error_body` and `error_headers` tell a client of a failure. `needs` returns those of some capabilities that a
    call needs. `prompt_tokens` estimates the tokens of its prompt. `unbounded` is the part of its cost that the
    bytes do not bound, `None` for nearly all. `service_tier` is the tier that it names. `takes_bound` says that it has
    a field for the most tokens of an answer, `is_free` that no provider charges for it, and `runs_unread` that a
    provider goes on with it though nobody reads its answer."""

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
