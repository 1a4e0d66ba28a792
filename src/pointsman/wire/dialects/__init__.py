"""The dialects of clients, one file or package each, by the name that a request's head has for its dialect."""

from collections.abc import Mapping, Sequence
from typing import cast

from pointsman.registry import members
from pointsman.wire.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for _, found in members(__name__, "DIALECT") for dialect in (cast("Dialect", found),)
}
COMMON = DIALECTS["openai"]  # for rejected requests, whose head does not name a dialect
# Those in which a client can request an answer to a conversation.
CONVERSATIONS: Sequence[Dialect] = tuple(one for one in DIALECTS.values() if one.halves is not None)
