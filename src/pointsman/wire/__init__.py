"""The client's dialects: bytes to domain values and back. Each path of the public API is one file."""

from typing import cast

from pointsman.registry import members
from pointsman.wire.paths import ApiPath

PATHS: tuple[ApiPath, ...] = tuple(
    path for _, found in members("pointsman.wire.api", "PATHS") for path in cast("tuple[ApiPath, ...]", found)
)
