"""Conversations made of features, and the facts by which two conversations are compared.

A feature is one thing that a request may hold. It has an example, which the reference page of the dialects uses, and a
strategy for other values of it. A conversation with any of them is a plain one to which features are applied.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

Apply = Callable[[Conversation, Any, int], Conversation]


@dataclass(frozen=True, eq=False)
class Feature:
    """One thing that a request may hold. `apply` adds a value of it to a conversation, at a place."""

    name: str
    example: Any
    values: st.SearchStrategy[Any]
    apply: Apply


WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=8)
NAMES = st.text("abc_", min_size=1, max_size=8)
DATA = st.sampled_from(["QUJD", "QUJDRA==", "JVBERi0xLjQ="])
MARKS = st.builds(CacheMark, st.sampled_from(["", "5m", "1h"]))
SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}')
SCHEMAS = NAMES.map(
    lambda name: Raw(
        b'{"type":"object","properties":{"%b":{"type":"string"}},"additionalProperties":false}' % name.encode()
    )
)
FLOATS = st.sampled_from([0.0, 0.25, 0.5, 1.0])


def _in_user(conversation: Conversation, part: Part, place: int) -> Conversation:
    """Add a part to one of the turns of the user."""
    return _in_turn(conversation, "user", part, place)


def _in_turn(conversation: Conversation, role: str, part: Part, place: int) -> Conversation:
    turns = list(conversation.turns)
    places = [number for number, turn in enumerate(turns) if turn.role == role]
    at = places[place % len(places)]
    turns[at] = replace(turns[at], parts=(*turns[at].parts, part))
    return replace(conversation, turns=tuple(turns))


def _in_assistant(conversation: Conversation, part: Part, place: int) -> Conversation:
    return _in_turn(conversation, "assistant", part, place)


def _reasoning(conversation: Conversation, part: Reasoning, place: int) -> Conversation:
    """Put reasoning before the text of a turn of the assistant, where every dialect has it."""
    turns = list(conversation.turns)
    places = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    at = places[place % len(places)]
    turns[at] = replace(turns[at], parts=(part, *turns[at].parts))
    return replace(conversation, turns=tuple(turns))


def _marked(conversation: Conversation, mark: CacheMark, place: int) -> Conversation:
    """Mark the first text of a turn of the user."""
    turns = list(conversation.turns)
    places = [number for number, turn in enumerate(turns) if turn.role == "user" and isinstance(turn.parts[0], Text)]
    at = places[place % len(places)]
    parts = turns[at].parts
    turns[at] = replace(turns[at], parts=(replace(parts[0], cache=mark), *parts[1:]))
    return replace(conversation, turns=tuple(turns))


def _instruction(conversation: Conversation, text: str, place: int) -> Conversation:
    """Put an instruction behind one of the first two turns."""
    at = 1 + place % 2
    turn = Turn("system", (Text(text),))
    return replace(conversation, turns=(*conversation.turns[:at], turn, *conversation.turns[at:]))


def _named(conversation: Conversation, name: str, place: int) -> Conversation:
    turns = list(conversation.turns)
    turns[0] = replace(turns[0], name=name)
    return replace(conversation, turns=tuple(turns))


def _result(conversation: Conversation, result: ToolResult, place: int) -> Conversation:
    """Add a call of a tool and its result. Its id is new."""
    count = sum(isinstance(part, ToolCall) for turn in conversation.turns for part in turn.parts)
    own_id = f"call_{count}"
    arguments = json.dumps({"place": place}, separators=(",", ":"))
    call = Turn("assistant", (Text("x"), ToolCall(own_id, "f", arguments, result.is_custom)))
    result = replace(result, call_id=own_id)
    return replace(conversation, turns=(*conversation.turns, call, Turn("user", (result,))))


def _parallel(conversation: Conversation, name: str, place: int) -> Conversation:
    """Add two calls in one turn."""
    conversation = _result(conversation, ToolResult("", (Text("1"),)), place)
    called, returned = conversation.turns[-2:]
    first = called.parts[1]
    assert isinstance(first, ToolCall)
    second = ToolCall(f"{first.id}_b", name, "{}")
    called = replace(called, parts=(*called.parts, second))
    returned = replace(returned, parts=(*returned.parts, ToolResult(second.id, (Text("2"),))))
    return replace(conversation, turns=(*conversation.turns[:-2], called, returned))


def _long_id(conversation: Conversation, own_id: str, place: int) -> Conversation:
    """Give a new call an id that not every API accepts."""
    conversation = _result(conversation, ToolResult("", (Text("1"),)), place)
    called, returned = conversation.turns[-2:]
    call, result = called.parts[1], returned.parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    own_id = f"{own_id}{call.id}"
    called = replace(called, parts=(called.parts[0], replace(call, id=own_id)))
    returned = replace(returned, parts=(replace(result, call_id=own_id),))
    return replace(conversation, turns=(*conversation.turns[:-2], called, returned))


def _tool(conversation: Conversation, tool: Tool, place: int) -> Conversation:
    tool = replace(tool, name=f"{tool.name}_{len(conversation.tools)}")
    return replace(conversation, tools=(*conversation.tools, tool))


def _choice(conversation: Conversation, choice: ToolChoice, place: int) -> Conversation:
    if not conversation.tools:
        conversation = _tool(conversation, Tool("f", "a tool", SCHEMA), place)
    old, named = conversation.tool_choice, choice.mode == "named"
    name = conversation.tools[place % len(conversation.tools)].name if named else ""
    if choice.mode is None:
        return replace(conversation, tool_choice=replace(old, parallel=choice.parallel))
    return replace(conversation, tool_choice=replace(old, mode=choice.mode, name=name))


def _field(name: str) -> Apply:
    return lambda conversation, value, place: replace(conversation, **{name: value})


def _sampling(name: str) -> Apply:
    return lambda conversation, value, place: replace(
        conversation, sampling=replace(conversation.sampling, **{name: value})
    )


def _logprobs(conversation: Conversation, top: int | None, place: int) -> Conversation:
    sampling = replace(conversation.sampling, logprobs=True, top_logprobs=top)
    return replace(conversation, sampling=sampling)


def _thinking(**fixed: Any) -> Apply:
    """Return how to request reasoning, with the value as the one field that is not fixed."""

    def apply(conversation: Conversation, value: Any, place: int) -> Conversation:
        more = {name: value if given is ... else given for name, given in fixed.items()}
        return replace(conversation, thinking=Thinking(**more))

    return apply


def _forced_display(conversation: Conversation, shown: str, place: int) -> Conversation:
    """Request reasoning with a display, and a call."""
    asked = _thinking(is_on=True, effort="low", summary=...)(conversation, shown, place)
    return _choice(asked, ToolChoice("required"), place)


def _rest(conversation: Conversation, name: str, place: int) -> Conversation:
    return replace(conversation, rest={**conversation.rest, name: Raw(b'"x"')})


def _texts(values: st.SearchStrategy[str]) -> st.SearchStrategy[Text]:
    return st.builds(Text, values)


IMAGE = Image(data="QUJD", media_type="image/png")
FORCED_DISPLAY = "the display of reasoning, with a call that is required"
PDF = DocumentPart(data="JVBERi0xLjQ=", media_type="application/pdf", name="a.pdf")
URLS = NAMES.map(lambda name: f"https://x.test/{name}")

FEATURES: tuple[Feature, ...] = (
    Feature("several texts in one turn", Text("two"), _texts(WORDS), _in_user),
    Feature("several texts in one turn of the assistant", Text("two"), _texts(WORDS), _in_assistant),
    Feature("an instruction inside the conversation", "Be brief.", WORDS, _instruction),
    Feature("the name of a participant", "ann", NAMES, _named),
    Feature("an image by its URL", Image(url="https://x.test/a"), st.builds(Image, URLS), _in_user),
    Feature("an image in the request", IMAGE, st.builds(Image, data=DATA, media_type=st.just("image/png")), _in_user),
    Feature("an image of type image/bmp", Image(data="QUJD", media_type="image/bmp"), st.nothing(), _in_user),
    Feature(
        "the detail of an image",
        Image(url="https://x.test/a", detail="low"),
        st.builds(Image, URLS, detail=st.sampled_from(["low", "high"])),
        _in_user,
    ),
    Feature("audio", Audio("QUJD", "wav"), st.builds(Audio, DATA, st.sampled_from(["wav", "mp3"])), _in_user),
    Feature(
        "a PDF in the request",
        PDF,
        st.builds(DocumentPart, data=DATA, media_type=st.just("application/pdf"), name=st.just("a.pdf")),
        _in_user,
    ),
    Feature(
        "a PDF by its URL",
        DocumentPart(url="https://x.test/a.pdf"),
        st.builds(DocumentPart, url=URLS.map(lambda url: f"{url}.pdf")),
        _in_user,
    ),
    Feature(
        "a text document",
        DocumentPart(text="once", media_type="text/plain", name="a.txt"),
        st.builds(DocumentPart, text=WORDS, media_type=st.just("text/plain"), name=st.just("a.txt")),
        _in_user,
    ),
    Feature("an earlier refusal", Refusal("no"), st.builds(Refusal, WORDS), _in_assistant),
    Feature("a mark for a cache", CacheMark("1h"), MARKS, _marked),
    Feature(
        "a call and its result",
        ToolResult("", (Text("sunny"),)),
        st.builds(ToolResult, st.just(""), _texts(WORDS).map(lambda text: (text,))),
        _result,
    ),
    Feature("parallel calls", "g", NAMES, _parallel),
    Feature("a result that is an error", ToolResult("", (Text("no"),), is_error=True), st.nothing(), _result),
    Feature("an image in a result", ToolResult("", (IMAGE,)), st.nothing(), _result),
    Feature("a document in a result", ToolResult("", (PDF,)), st.nothing(), _result),
    Feature("an empty result", ToolResult("", ()), st.nothing(), _result),
    Feature("a call of a custom tool", ToolResult("", (Text("1"),), is_custom=True), st.nothing(), _result),
    Feature("an id of a call with more than 64 characters", "a" * 65, st.just("b" * 70), _long_id),
    Feature("an id of a call with a dot", "a.b", NAMES.map(lambda name: f"{name}."), _long_id),
    Feature("a tool", Tool("f", "a tool", SCHEMA), st.builds(Tool, NAMES, WORDS, SCHEMAS), _tool),
    Feature("a tool without a schema", Tool("f"), st.builds(Tool, NAMES), _tool),
    Feature("a strict tool", Tool("f", "", SCHEMA, True), st.builds(Tool, NAMES, WORDS, SCHEMAS, st.booleans()), _tool),
    Feature(
        "a custom tool",
        Tool("f", "a tool", is_custom=True, syntax="lark", grammar="start: A"),
        st.builds(Tool, NAMES, WORDS, is_custom=st.just(value=True)),
        _tool,
    ),
    Feature("tool_choice auto", ToolChoice("auto"), st.nothing(), _choice),
    Feature("tool_choice none", ToolChoice("none"), st.nothing(), _choice),
    Feature("tool_choice that requires a call", ToolChoice("required"), st.nothing(), _choice),
    Feature("tool_choice that names a tool", ToolChoice("named", "f"), st.nothing(), _choice),
    Feature("a rule against parallel calls", ToolChoice(parallel=False), st.nothing(), _choice),
    Feature("a rule that allows parallel calls", ToolChoice(parallel=True), st.nothing(), _choice),
    Feature("temperature", 0.5, FLOATS, _sampling("temperature")),
    Feature("temperature above 1", 1.5, st.nothing(), _sampling("temperature")),
    Feature("top_p", 0.5, FLOATS, _sampling("top_p")),
    Feature("top_k", 5, st.integers(1, 99), _sampling("top_k")),
    Feature("stop sequences", ("END",), st.lists(WORDS, min_size=1, max_size=2).map(tuple), _sampling("stop")),
    Feature("presence_penalty", 0.5, st.sampled_from([0.5, 1.0]), _sampling("presence_penalty")),
    Feature("frequency_penalty", 0.5, st.sampled_from([0.5, 1.0]), _sampling("frequency_penalty")),
    Feature("seed", 7, st.integers(1, 99), _sampling("seed")),
    Feature("several choices", 2, st.nothing(), _sampling("choices")),
    Feature("log probabilities", None, st.nothing(), _logprobs),
    Feature("log probabilities of other tokens", 2, st.integers(1, 5), _logprobs),
    Feature("max_tokens", 500, st.integers(20_000, 29_000), _field("max_tokens")),
    Feature("any JSON object as the format", AnswerFormat(), st.nothing(), _field("format")),
    Feature("JSON of a schema as the format", AnswerFormat(SCHEMA), st.builds(AnswerFormat, SCHEMAS), _field("format")),
    Feature(
        "a name, a description and strictness of the format",
        AnswerFormat(SCHEMA, "colour", "a colour", True),
        st.builds(AnswerFormat, SCHEMAS, NAMES, WORDS, st.booleans()),
        _field("format"),
    ),
    *(
        Feature(f"reasoning of effort {effort}", effort, st.nothing(), _thinking(is_on=True, effort=...))
        for effort in ("minimal", "low", "medium", "high", "xhigh", "max")
    ),
    Feature("reasoning switched off", False, st.nothing(), _thinking(is_on=...)),
    Feature("effort none", "none", st.nothing(), _thinking(is_on=False, effort=...)),
    Feature("reasoning switched on without an effort", True, st.nothing(), _thinking(is_on=...)),
    *(
        Feature(
            f"a budget of {budget:,} tokens for reasoning",
            budget,
            st.nothing(),
            _thinking(is_on=True, budget_tokens=...),
        )
        for budget in (1024, 8000, 16000)
    ),
    *(
        Feature(
            f"the display {shown} of reasoning", shown, st.nothing(), _thinking(is_on=True, effort="low", summary=...)
        )
        for shown in ("auto", "concise", "detailed", "summarized", "omitted")
    ),
    Feature(FORCED_DISPLAY, "summarized", st.nothing(), _forced_display),
    Feature("verbosity", "low", st.sampled_from(["low", "high"]), _field("verbosity")),
    Feature("the user's name", "u1", NAMES, _field("user")),
    Feature("metadata", Raw(b'{"a":"b"}'), st.nothing(), _field("metadata")),
    Feature("the service tier default", "default", st.nothing(), _field("service_tier")),
    Feature("the service tier auto", "auto", st.nothing(), _field("service_tier")),
    Feature("the service tier flex", "flex", st.nothing(), _field("service_tier")),
    Feature("a key of a cache", "k", NAMES, _field("prompt_cache_key")),
    Feature("a field of its own dialect", "some_new_field", st.nothing(), _rest),
)


def reasoning_of(origin: str, signature: str) -> tuple[Feature, ...]:
    """Return the features of reasoning by an author of this dialect, who makes signatures like this one."""
    shown, hidden = Reasoning("hm", signature, origin=origin), Reasoning(redacted=signature, origin=origin)
    return (
        Feature(f"reasoning by {origin}", shown, st.just(shown), _reasoning),
        Feature(f"hidden reasoning by {origin}", hidden, st.just(hidden), _reasoning),
    )


def plain(origin: str, texts: Sequence[str] = ("Hello", "Hi", "And?")) -> Conversation:
    """Return a conversation of three turns without any feature but instructions and a bound."""
    first, second, third = (Text(text) for text in texts)
    turns = (Turn("user", (first,)), Turn("assistant", (second,)), Turn("user", (third,)))
    return Conversation(origin=origin, system=(Text("Be kind."),), turns=turns, max_tokens=30_000)


@st.composite
def drawn(
    draw: st.DrawFn, origin: str, features: Sequence[Feature], least: int = 0
) -> tuple[Conversation, frozenset[str]]:
    """Draw a conversation of a dialect with some of these features. Return it with their names."""
    found = plain(origin, [draw(WORDS) for _ in range(3)])
    chosen = draw(st.lists(st.sampled_from(features), min_size=least, max_size=8))
    for feature in chosen:
        values = st.just(feature.example) if feature.values.is_empty else feature.values
        found = feature.apply(found, draw(values), draw(st.integers(0, 9)))
    names = {feature.name for feature in chosen}
    if names & _FORCING and any(name.startswith("the display") for name in names):
        names.add(FORCED_DISPLAY)
    return found, frozenset(names)


_FORCING = frozenset({"tool_choice that requires a call", "tool_choice that names a tool"})


# Facts.


def _parts(conversation: Conversation) -> Iterator[tuple[str, Part]]:
    """Yield every part with the role of its turn; parts of a result follow the result."""
    for turn in conversation.turns:
        for part in turn.parts:
            yield turn.role, part
            if isinstance(part, ToolResult):
                for inner in part.parts:
                    yield "result", inner


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _json(text: str) -> object:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def texts_of(conversation: Conversation, *roles: str) -> list[str]:
    """Return the texts in turns of these roles, in order, without white space."""
    found = []
    for role, part in _parts(conversation):
        if role in roles and isinstance(part, Text | DocumentPart):
            found.append(_squeezed(part.text))
    return [text for text in found if text]


def _refusals(conversation: Conversation) -> list[str]:
    return [_squeezed(part.text) for _, part in _parts(conversation) if isinstance(part, Refusal)]


def _merged_roles(turns: Iterable[Turn]) -> tuple[str, ...]:
    found: list[str] = []
    for turn in turns:
        if turn.parts and (not found or found[-1] != turn.role):
            found.append(turn.role)
    return tuple(found)


_MARKED = (Text, Image, DocumentPart, ToolCall, ToolResult)


def _is_on(thinking: Thinking) -> bool | None:
    if thinking.is_on is None and thinking.effort is not None:
        return thinking.effort != "none"
    return thinking.is_on


def facts(of: Conversation) -> dict[str, object]:
    """Return the facts of a conversation by their names. Two conversations with equal facts mean the same. Texts are
    compared by `lost_texts`."""
    parts = list(_parts(of))
    only = [part for _, part in parts]
    calls = [part for part in only if isinstance(part, ToolCall)]
    results = [part for part in only if isinstance(part, ToolResult)]
    images = [part for part in only if isinstance(part, Image)]
    documents = [part for part in only if isinstance(part, DocumentPart)]
    numbers = {call.id: number for number, call in enumerate(calls)}
    marks = [(type(part).__name__, part.cache.ttl) for part in only if isinstance(part, _MARKED) and part.cache]
    marks += [("Tool", tool.cache.ttl) for tool in of.tools if tool.cache is not None]
    form = of.format
    return {
        "the place of instructions": _merged_roles(of.turns),
        "the borders between texts": [
            (role, part.text) for role, part in parts if isinstance(part, Text) and role not in ("system", "result")
        ],
        "the names of participants": [turn.name for turn in of.turns if turn.name],
        "images": [(image.url, image.data, image.media_type) for image in images],
        "the detail of images": [image.detail for image in images],
        "audio": [part for part in only if isinstance(part, Audio)],
        "documents": [(one.url, one.data, _squeezed(one.text)) for one in documents],
        "the names of documents": [one.name for one in documents],
        "refusals": "".join(part.text for part in only if isinstance(part, Refusal)),
        "marks for a cache": marks,
        "calls": [(call.name, _json(call.arguments), call.is_custom) for call in calls],
        "the ids of calls": [call.id for call in calls],
        "results": [(numbers.get(result.call_id), result.is_custom) for result in results],
        "the files in results": [len([part for part in one.parts if not isinstance(part, Text)]) for one in results],
        "the errors of results": [result.is_error for result in results],
        "reasoning": [
            (one.text, one.signature, one.redacted, one.origin) for one in only if isinstance(one, Reasoning)
        ],
        "the ids of reasoning": [one.id for one in only if isinstance(one, Reasoning)],
        "tools": [(tool.name, tool.description) for tool in of.tools],
        "the schemas of tools": [
            None if tool.schema is None else _json(bytes(tool.schema).decode()) for tool in of.tools
        ],
        "the strictness of tools": [tool.strict for tool in of.tools],
        "custom tools": [(tool.is_custom, tool.syntax, tool.grammar) for tool in of.tools],
        "tool_choice": f"{of.tool_choice.mode or ''} {of.tool_choice.name}".strip(),
        "the rule for parallel calls": None if of.tool_choice.mode == "none" else of.tool_choice.parallel,
        **{name: getattr(of.sampling, name) for name in of.sampling.__struct_fields__},
        "max_tokens": of.max_tokens,
        "the format": None if form is None else form.schema,
        "the name of the format": "" if form is None else form.name,
        "the description of the format": "" if form is None else form.description,
        "the strictness of the format": None if form is None else form.strict,
        "reasoning is on": _is_on(of.thinking),
        "effort": None if of.thinking.effort == "none" else of.thinking.effort,
        "budget_tokens": of.thinking.budget_tokens,
        "the display of reasoning": of.thinking.summary,
        **{name: getattr(of, name) for name in ("verbosity", "user", "metadata", "service_tier", "prompt_cache_key")},
        "other fields": sorted(of.rest),
    }


def differences(before: Conversation, after: Conversation) -> dict[str, tuple[object, object]]:
    """Return the facts that differ, with both values."""
    old, new = facts(before), facts(after)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def lost_texts(before: Conversation, after: Conversation) -> list[str]:
    """Return the texts of one conversation that are not, in their order, in the other."""
    instructions = [_squeezed(text.text) for text in before.system] + texts_of(before, "system")
    kept = "".join([_squeezed(text.text) for text in after.system] + texts_of(after, "system"))
    answered = "".join([*texts_of(after, "assistant"), *_refusals(after)])
    return [
        *_lost(instructions, kept),
        *_lost(texts_of(before, "user"), "".join(texts_of(after, "user"))),
        *_lost(texts_of(before, "assistant"), "".join(texts_of(after, "assistant"))),
        *_lost(texts_of(before, "result"), "".join(texts_of(after, "result", "user"))),
        *(text for text in _refusals(before) if text not in answered),
    ]


def _lost(texts: Iterable[str], kept: str) -> list[str]:
    at, lost = 0, []
    for text in texts:
        found = kept.find(text, at)
        if found < 0:
            lost.append(text)
        else:
            at = found + len(text)
    return lost
