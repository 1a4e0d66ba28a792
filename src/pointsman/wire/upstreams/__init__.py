"""The dialects that providers speak: those of clients, and those that only providers speak.

A dialect of the second kind is a file or package here, whose `HALVES` write requests and read answers. No client speaks
it, so no request is read in it, and every answer is translated.
"""

from collections.abc import Mapping
from typing import cast

from msgspec import Struct

from pointsman.domain.operations import Operation
from pointsman.registry import members
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.translation import ProviderHalves


class Upstream(Struct, frozen=True, kw_only=True, eq=False):
    """A dialect that a provider speaks. A conversation is requested by `operation`, at `path`. The path is empty if it
    depends on the request."""

    name: str
    halves: ProviderHalves
    operation: Operation = "chat"
    path: str = ""


ONLY_UPSTREAM: Mapping[str, Upstream] = {
    name: Upstream(name=name, halves=cast("ProviderHalves", halves)) for name, halves in members(__name__, "HALVES")
}
# By name. Of several that a provider speaks, it gets translated requests in the first.
SPOKEN: Mapping[str, Upstream] = {
    one.name: Upstream(name=one.name, halves=one.halves, operation=one.operation, path=one.path)
    for one in CONVERSATIONS
    if one.halves is not None
} | dict(ONLY_UPSTREAM)
