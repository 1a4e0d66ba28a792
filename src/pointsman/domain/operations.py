"""The operations a client may ask for."""

from enum import Enum


class Operation(Enum):
    """What is asked for. A provider supports exactly the operations its record lists."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RESPONSES = "responses"
    IMAGE = "image"
    AUDIO = "audio"
    MODERATION = "moderation"
    RERANK = "rerank"
    FILE = "file"
    BATCH = "batch"
    OTHER = "other"

    __hash__ = object.__hash__  # members are singletons; the hash of an enum is slow, and this one is asked per request


# Operations that name things kept by one provider account: they use one key per provider and never fail over after
# bytes were sent, since a second try may act twice or ask an account that does not hold the thing.
STATEFUL = frozenset({Operation.FILE, Operation.BATCH, Operation.OTHER})
