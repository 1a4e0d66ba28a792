"""The dialects in which providers take requests for embeddings: those of clients, and those that only providers speak.

A dialect of the second kind is a file here, whose `HALVES` write requests and read answers.
"""

from collections.abc import Mapping
from typing import cast

from pointsman.registry import members
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.embeddings import EmbeddingProviderHalves

ONLY_UPSTREAM = {name: cast("EmbeddingProviderHalves", halves) for name, halves in members(__name__, "HALVES")}
EMBEDDERS: Mapping[str, EmbeddingProviderHalves] = {
    **{name: one.embeddings for name, one in DIALECTS.items() if one.embeddings is not None},
    **ONLY_UPSTREAM,
}
