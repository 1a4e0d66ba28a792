"""A client's request as the gateway sees it: the operation, the model, and the fields the gateway acts on."""

from msgspec import Raw, Struct

from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Pin, Touched


class Media(Struct, frozen=True, gc=False):
    """What a prompt holds beside text: so many images, recordings and files, which are `tokens` at most. `size` are the
    bytes of the request that are in that, and not to be counted as text. `elsewhere` is the first field that names
    something whose length the request does not show: a file that the provider keeps, or a video by its address."""

    count: int = 0
    tokens: int = 0
    size: int = 0
    elsewhere: str = ""

    def __add__(self, other: "Media") -> "Media":
        elsewhere = self.elsewhere or other.elsewhere
        return Media(self.count + other.count, self.tokens + other.tokens, self.size + other.size, elsewhere)


NO_MEDIA = Media()


class RequestHead(Struct, frozen=True, kw_only=True, eq=False):
    """The facts of a request that its head alone tells. It is made once for each distinct head and shared.

    `path` is the path and query below `/v1`, with its leading slash. `dialect` names how the client speaks, as one of
    `wire.dialects`. `content_type` is the client's own. `provider`,
    `timeout_s`, `session` and `tags` are the gateway's own headers, and `forwarded` are the headers that go upstream.
    """

    method: str = "POST"
    path: str = ""
    dialect: str = "openai"
    content_type: str = ""
    provider: str | None = None
    timeout_s: float | None = None
    session: str | None = None
    tags: dict[str, str] = {}
    forwarded: tuple[tuple[str, str], ...] = ()


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """One request of a client.

    `snapshot` is the configuration it was admitted under: a later one changes nothing for it. `fields` is the top level
    of a JSON body, each value as the bytes the client sent; it is empty for bodies that are passed through. `raw_body`
    is such a body, or `None` when it is streamed. `model` is the name as the client wrote it; empty where the operation
    needs none. `size` is the length of the body. `max_tokens` bounds each answer in tokens, and `stated_tokens` is the
    bound that its body states. `choices` counts the answers to a prompt, and `answers` all that are charged. `state`
    says which things that providers keep the call is about, and `pin` where those it names are kept.

    A call is made for every request and refers to nothing that refers back to it, so the garbage collector need not
    track it (`gc=False`).
    """

    operation: Operation
    head: RequestHead
    snapshot: Snapshot
    model: str
    fields: dict[str, Raw] = {}
    size: int = 0
    stream: bool = False
    wants_usage: bool = False
    fallbacks: tuple[str, ...] = ()
    max_tokens: int | None = None
    stated_tokens: int | None = None
    choices: int = 1
    answers: int = 1
    raw_body: bytes | None = None
    stateful: bool = False
    media: Media = NO_MEDIA
    state: Touched | None = None
    pin: Pin | None = None


class Facts(Struct, frozen=True, gc=False):
    """What strategies and policies may know about a request. `virtual_key` is `None` in open mode without a key."""

    call: Call
    virtual_key: VirtualKey | None = None
