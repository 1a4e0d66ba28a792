"""The dialects of clients: requests are parsed into domain values, and answers are written as bytes. Each path of the
public API is one file, or is defined by its dialect."""

from typing import cast

from pointsman.registry import members
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.paths import ApiPath

PATHS: tuple[ApiPath, ...] = (
    *(path for _, found in members("pointsman.wire.api", "PATHS") for path in cast("tuple[ApiPath, ...]", found)),
    *(path for dialect in DIALECTS.values() for path in dialect.paths),
)
