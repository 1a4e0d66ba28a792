"""The common form of a request for an answer to a conversation: every dialect reads into it and writes from it.

The parts are those that Anthropic's Messages, OpenAI's chat completions and OpenAI's responses have in common, under
one name each. A field that only one dialect has stays in `rest`, as the bytes that the client sent. Only a provider of
the same dialect can read it, and it gets the client's own bytes anyway. So a field in `rest` is never lost: it either
reaches such a provider, or is the reason why another one cannot serve the request.
"""

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class CacheMark(Struct, frozen=True, gc=False):
    """A mark that the prompt up to here is to be cached. `ttl` is a duration such as `5m` or `1h`; empty for the
    provider's default."""

    ttl: str = ""


class Text(Struct, frozen=True, gc=False):
    """A text. `cache` marks the end of a prefix to be cached."""

    text: str
    cache: CacheMark | None = None


class Image(Struct, frozen=True, gc=False):
    """An image: either `url`, or `data` in base64 with its `media_type`. `detail` is OpenAI's."""

    url: str = ""
    data: str = ""
    media_type: str = ""
    detail: str = ""
    cache: CacheMark | None = None


class Audio(Struct, frozen=True, gc=False):
    """A recording: `data` in base64, and its `format` such as `wav` or `mp3`."""

    data: str
    format: str


class DocumentPart(Struct, frozen=True, gc=False):
    """A document: one of `url`, `data` in base64, and plain `text`. `name` is its title or the name of its file."""

    url: str = ""
    data: str = ""
    text: str = ""
    media_type: str = ""
    name: str = ""
    cache: CacheMark | None = None


class Refusal(Struct, frozen=True, gc=False):
    """The text of an earlier answer in which the model refused."""

    text: str


class Reasoning(Struct, frozen=True, gc=False):
    """Reasoning of an earlier answer. `text` is its text or its summary, and may be empty. `signature` proves it to its
    author: Anthropic's signature, or OpenAI's encrypted content. `redacted` is reasoning that only its author can read.
    `origin` names the dialect of the author, the only one that gets it back. `id` is the author's id of it."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    origin: str = ""
    id: str = ""


class ToolCall(Struct, frozen=True, gc=False):
    """A call of a tool by the model. `arguments` is the JSON text as the model wrote it, which may be invalid. If
    `is_custom`, it is any text."""

    id: str
    name: str
    arguments: str
    is_custom: bool = False
    cache: CacheMark | None = None


class ToolResult(Struct, frozen=True, gc=False):
    """The result of a call. `parts` may be empty."""

    call_id: str
    parts: "tuple[Text | Image | DocumentPart, ...]" = ()
    is_error: bool = False
    is_custom: bool = False
    cache: CacheMark | None = None


Part: TypeAlias = Text | Image | Audio | DocumentPart | Refusal | Reasoning | ToolCall | ToolResult


class Turn(Struct, frozen=True, gc=False):
    """One turn. A turn of `system` may come between others: its instruction holds from there on. `name` is the name of
    a participant, which OpenAI's chat has."""

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]
    name: str = ""


class Tool(Struct, frozen=True, gc=False):
    """A function that the model may call. `schema` is the JSON schema of its arguments, or `None` if it has none. If
    `is_custom`, the model writes any text instead, in the language that `grammar` defines in its `syntax` (`lark` or
    `regex`), if there is one. With `is_deferred`, the model need not see it before another tool refers to it."""

    name: str
    description: str = ""
    schema: Raw | None = None
    strict: bool | None = None
    is_custom: bool = False
    cache: CacheMark | None = None
    syntax: str = ""
    grammar: str = ""
    is_deferred: bool = False


class ToolChoice(Struct, frozen=True, gc=False):
    """The rule for calls of tools. `named` requires the tool `name`. `parallel` is `None` if the client leaves it to
    the provider."""

    mode: Literal["auto", "none", "required", "named"] | None = None
    name: str = ""
    parallel: bool | None = None


class Sampling(Struct, frozen=True, gc=False):
    """The settings of sampling; `None` leaves each to the provider."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    choices: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None


class AnswerFormat(Struct, frozen=True, gc=False):
    """The form of an answer: any JSON object, or JSON that matches `schema`."""

    schema: Raw | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Thinking(Struct, frozen=True, gc=False):
    """The request for reasoning. `is_on` is `None` if the client leaves it to the provider. `effort` and
    `budget_tokens` bound it, each in its dialect. `summary` asks for a summary to be shown: `auto`, `concise`,
    `detailed`, or Anthropic's `summarized` and `omitted`."""

    is_on: bool | None = None
    effort: Effort | None = None
    budget_tokens: int | None = None
    summary: str = ""


class Conversation(Struct, frozen=True, kw_only=True, gc=False):
    """A request for the next turn. `origin` is the name of the dialect it was read from. `system` are the instructions
    before the first turn. `max_tokens` bounds the answer. `user`, `metadata` and `service_tier` only label the
    request, so a provider without such a field may still serve it. The same holds for the key of a cache, the detail
    of an image, `sampling.seed` and log probabilities. `labels` are the names of more such fields, of the request's
    own dialect. `rest` are all fields that have no place here."""

    origin: str
    system: tuple[Text, ...] = ()
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    format: AnswerFormat | None = None
    thinking: Thinking = Thinking()
    verbosity: str = ""
    user: str = ""
    metadata: Raw | None = None
    service_tier: str = ""
    prompt_cache_key: str = ""
    labels: tuple[str, ...] = ()
    rest: dict[str, Raw] = {}


MAX_NAMED, MAX_NAME = 8, 120  # parts in a message, and the characters of each


class Written(Struct, frozen=True, kw_only=True, gc=False):
    """A request as a dialect writes it: the fields of its body, without the model. `cannot` describes which parts
    of the conversation the dialect cannot express; a request with any is not sent. `dropped` are the names of fields
    that are left out, as the client's dialect calls them. Only those in `translation.DROPPABLE` ever are."""

    fields: dict[str, Raw]
    cannot: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def reasons(self) -> str:
        """The parts that cannot be expressed, as a message lists them: a few of them, each shortened. Clients choose
        their number and their names, and messages are stored."""
        named = [part if len(part) <= MAX_NAME else f"{part[: MAX_NAME - 3]}..." for part in self.cannot[:MAX_NAMED]]
        more = len(self.cannot) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")
