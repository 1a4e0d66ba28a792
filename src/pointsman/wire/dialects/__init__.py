"""The dialects of clients, a file each, by the name that the head of a request has for its own."""

from collections.abc import Mapping
from typing import cast

from pointsman.registry import members
from pointsman.wire.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for _, found in members(__name__, "DIALECT") for dialect in (cast("Dialect", found),)
}
COMMON = DIALECTS["openai"]  # for requests whose head does not tell its dialect, since it is refused
