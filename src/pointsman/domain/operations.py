"""The operations that a client may request. A provider supports exactly those that its record lists."""

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
    "ocr",
    "file",
    "batch",
    "other",
]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)

# Operations whose answer is text that a model generates, token by token.
GENERATING: Final[frozenset[Operation]] = frozenset({"chat", "completion", "responses"})

# Operations on objects that one provider account stores. They use one key per provider and never fail over after bytes
# were sent. A second try may act twice, or reach an account without the object.
STATEFUL: Final[frozenset[Operation]] = frozenset({"file", "batch", "other"})
