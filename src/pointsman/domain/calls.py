"""A client's request as the gateway sees it: the operation, the model, and the fields the gateway acts on."""

from msgspec import Raw, Struct

from pointsman.domain.batches import BatchWork
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.requirements import NO_REQUIREMENTS, Requirements
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Pin, Touched
from pointsman.domain.units import Units


class Media(Struct, frozen=True, gc=False):
    """The media in a prompt: the numbers of images, recordings and files, which are at most `tokens`. `size` is their
    length in bytes in the request; those bytes do not count as text. `elsewhere` is the first field that names content
    of unknown length: a file stored at the provider, or a video by its address."""

    count: int = 0
    tokens: int = 0
    size: int = 0
    elsewhere: str = ""

    def __add__(self, other: "Media") -> "Media":
        elsewhere = self.elsewhere or other.elsewhere
        return Media(self.count + other.count, self.tokens + other.tokens, self.size + other.size, elsewhere)


NO_MEDIA = Media()


class Prefix(Struct, frozen=True, gc=False):
    """The beginning of a prompt, which a provider may have cached. `blocks` has the hash of each full block together
    with all before it. Requests of one `group`, which is a hash too, belong together; 0 stands for none."""

    blocks: tuple[int, ...]
    group: int = 0


class RequestHead(Struct, frozen=True, kw_only=True, eq=False):
    """The facts in the head of a request. One object is made for each distinct head and shared.

    `path` is the path and query below `/v1`, with its leading slash. `dialect` names the client's dialect, one of
    `wire.dialects`. In dialects whose paths say so, `model` is the requested one, and `streams` asks for a stream.
    `content_type` is the client's own. `provider`, `timeout_s`, `max_nano`, `session`, `tags` and `require` are the
    gateway's own headers. `max_nano` bounds the expected cost of the request in nano-dollars. Headers of coding agents
    set `session` too, and `agent` and `parent_agent`. `forwarded` are the headers that go upstream. `headers` are those
    that the configuration reads, by their names in lower case.
    """

    method: str = "POST"
    path: str = ""
    dialect: str = "openai"
    model: str = ""
    streams: bool = False
    content_type: str = ""
    provider: str | None = None
    timeout_s: float | None = None
    max_nano: int | None = None
    session: str | None = None
    agent: str | None = None
    parent_agent: str | None = None
    tags: dict[str, str] = {}
    forwarded: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = {}
    require: Requirements = NO_REQUIREMENTS


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """One request of a client.

    `snapshot` is the configuration it was admitted under; later configurations do not affect it. `fields` is the top
    level of a JSON body, with each value as the bytes the client sent. It is empty for bodies that are passed through.
    `raw_body` is such a body, or `None` when it is streamed. `model` is the name as the client wrote it; it is empty if
    the operation needs none. `size` is the length of the body. `max_tokens` bounds each answer in tokens, and
    `stated_tokens` is the bound set in its body. `choices` counts the answers to a prompt, and `answers` all that are
    charged. `state` lists the stored objects that the call uses, and `pin` is the place of those it names.
    `dropped` are fields of the body that were left out when it was read. `text_tokens` bounds the tokens of its text if
    they were counted; until then its bytes do. `units` bounds what it costs beside tokens, such as images. `model_at`
    is set for a form that is held in `raw_body`: the place of the model's name in it, (0, 0) for none.
    `batch` is the work of a requested batch, if its file was read. `remote` are the fields of a form that hold the
    address of content.

    A call is made for every request and is part of no reference cycle, so the garbage collector need not track it
    (`gc=False`).
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
    dropped: tuple[str, ...] = ()
    text_tokens: int | None = None
    units: Units | None = None
    model_at: tuple[int, int] | None = None
    batch: BatchWork | None = None
    remote: tuple[str, ...] = ()


class Facts(Struct, frozen=True, gc=False):
    """The facts of a request that rules, policies and strategies may read. `virtual_key` is `None` in open mode without
    a key. `unix_s` is the time of the decision in Unix seconds, and `client` the client's address, if a rule reads
    it."""

    call: Call
    virtual_key: VirtualKey | None = None
    unix_s: float = 0.0
    client: str = ""
