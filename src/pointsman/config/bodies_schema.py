"""The part of the configuration file about the bodies of requests and answers."""

from typing import Annotated

from pydantic import Field

from pointsman.config.sections import Name, Section
from pointsman.domain.bodies import KEEP_DAYS


class BodySettings(Section):
    """The requests whose bodies are kept. Bodies are masked by `redaction` before they are written."""

    virtual_keys: Annotated[list[Name], Field(max_length=10_000)] = []
    """The virtual keys whose requests are kept."""
    rules: Annotated[list[Name], Field(max_length=1000)] = []
    """Routing rules: the requests that one of them matches are kept."""
    all: bool = False
    """If true, all requests are kept."""
    max_bytes: Annotated[int, Field(ge=1024, le=4 * 1024 * 1024)] = 64 * 1024
    """The most bytes of each body that are kept. Of a longer one, the beginning is kept, and the field `cut` says
    so. While a request is in progress, its answer takes up to 16 times as much memory."""
    keep_days: Annotated[float, Field(gt=0, le=3650)] = KEEP_DAYS
    """The time that bodies are kept in the store, in days."""
