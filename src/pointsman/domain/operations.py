"""The operations a client may ask for. A provider supports exactly those that its record lists."""

from typing import Final, Literal, TypeAlias, get_args

Operation: TypeAlias = Literal[
    "chat",
    "completion",
    "embedding",
    "responses",
    "image",
    "audio",
    "moderation",
    "rerank",
    "file",
    "batch",
    "other",
]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)

# Operations that name things kept by one provider account: they use one key per provider and never fail over after
# bytes were sent, since a second try may act twice or ask an account that does not hold the thing.
STATEFUL: Final[frozenset[Operation]] = frozenset({"file", "batch", "other"})
