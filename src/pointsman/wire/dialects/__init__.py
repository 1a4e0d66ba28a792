"""The dialects of clients, one file each, by the name that a request's head has for its dialect."""

from collections.abc import Mapping
from typing import cast

from pointsman.registry import members
from pointsman.wire.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for _, found in members(__name__, "DIALECT") for dialect in (cast("Dialect", found),)
}
COMMON = DIALECTS["openai"]  # for rejected requests, whose head does not name a dialect
