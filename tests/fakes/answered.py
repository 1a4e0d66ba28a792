"""Answers as pieces: drawn at random, and in the form in which two of them can be compared."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from hypothesis import strategies as st
from msgspec import Raw

from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import (
    AudioPiece,
    CitationPiece,
    Done,
    Finish,
    FinishReason,
    Piece,
    ReasoningPiece,
    RefusalPiece,
    SignaturePiece,
    Start,
    TextPiece,
    ToolArguments,
    ToolBegin,
    UsagePiece,
)
from pointsman.wire.translation import read_signature

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
_PROOFS = WORDS.filter(lambda text: "|" not in text)  # which Anthropic's clients get behind an id
_PARTS = st.lists(WORDS, min_size=1, max_size=4)


def texts(parts: Sequence[str]) -> list[Piece]:
    return [TextPiece(part, begins=number == 0) for number, part in enumerate(parts)]


def reasoning(parts: Sequence[str], origin: str = "", signature: str = "") -> list[Piece]:
    found: list[Piece] = [ReasoningPiece(part, begins=number == 0) for number, part in enumerate(parts)]
    return [*found, SignaturePiece(signature, origin)] if signature else found


@st.composite
def _calls(draw: st.DrawFn, first: int) -> list[Piece]:
    """Draw calls whose arguments alternate, each of them not empty."""
    count = draw(st.integers(1, 3))
    begins = [
        ToolBegin(first + number, f"call_{first + number}", draw(st.sampled_from(["f", "g"])), draw(st.booleans()))
        for number in range(count)
    ]
    arguments = [ToolArguments(first + number, text) for number in range(count) for text in draw(_PARTS)]
    return [*begins, *draw(st.permutations(arguments))]


@st.composite
def _blocks(draw: st.DrawFn, origins: Sequence[str]) -> list[Piece]:
    pieces: list[Piece] = []
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["text", "reasoning", "redacted", "refusal", "calls"]), max_size=5)):
        match kind:
            case "text":
                pieces += texts(draw(_PARTS))
            case "reasoning":
                pieces += reasoning(draw(_PARTS), draw(st.sampled_from(origins)), draw(st.just("") | _PROOFS))
            case "redacted":
                pieces.append(SignaturePiece(draw(_PROOFS), "anthropic", is_redacted=True))
            case "refusal":
                pieces += [RefusalPiece(part) for part in draw(_PARTS)]
            case _:
                pieces += draw(_calls(calls))
                calls = sum(isinstance(piece, ToolBegin) for piece in pieces)
    return pieces


@st.composite
def answers(draw: st.DrawFn, *origins: str) -> list[Piece]:
    """Draw an answer with reasoning of authors of these dialects."""
    content = draw(_blocks(origins))
    cached, written, reasoned = (draw(st.integers(0, 9)) for _ in range(3))
    tokens_in, tokens_out = cached + written + draw(st.integers(0, 99)), reasoned + draw(st.integers(0, 99))
    usage = Usage(tokens_in, tokens_out, cached, reasoned, tokens_cache_write=written)
    if any(isinstance(piece, ToolBegin) for piece in content):
        reason = Finish("tool_calls")
    elif any(isinstance(piece, RefusalPiece) for piece in content):
        reason = Finish("refusal")
    else:
        reason = Finish("stop")
    cut = draw(st.sampled_from([reason, reason, Finish("length"), Finish("content_filter")]))
    return [Start("x1", "m-1"), *content, UsagePiece(usage), cut, Done()]


def merged(pieces: Iterable[Piece]) -> list[object]:
    """Return pieces with neighbours joined, and with the arguments of each call behind its beginning."""
    found: list[object] = []
    arguments: dict[int, str] = {}
    for piece in pieces:
        last = found[-1] if found else None
        match piece, last:
            case ToolArguments(), _:
                arguments[piece.index] = arguments.get(piece.index, "") + piece.text
            case TextPiece(begins=False, logprobs=None), TextPiece():
                found[-1] = TextPiece(last.text + piece.text, last.begins, last.logprobs)
            case ReasoningPiece(begins=False), ReasoningPiece():
                found[-1] = ReasoningPiece(last.text + piece.text, last.begins)
            case RefusalPiece(), RefusalPiece():
                found[-1] = RefusalPiece(last.text + piece.text)
            case _:
                found.append(piece)
    return [(piece, arguments.get(piece.index, "")) if isinstance(piece, ToolBegin) else piece for piece in found]


@st.composite
def groups(draw: st.DrawFn, pieces: Sequence[Piece]) -> list[Sequence[Piece]]:
    """Cut pieces into groups of any size."""
    cuts = sorted(draw(st.lists(st.integers(0, len(pieces)), max_size=4)))
    return [pieces[start:end] for start, end in zip([0, *cuts], [*cuts, len(pieces)], strict=True)]


_STOP, _USED = Finish("stop"), Usage(10, 5)
_PLAIN = (TextPiece("Hello", begins=True),)
_CALL: tuple[Piece, ...] = (ToolBegin(0, "call_0", "f"), ToolArguments(0, '{"a":1}'))
_OTHER: tuple[Piece, ...] = (ToolBegin(1, "call_1", "g"), ToolArguments(1, "{}"))
_TOKENS = Raw(b'[{"token":"Hello","bytes":null,"logprob":-0.5,"top_logprobs":[]}]')
_REASONS: tuple[FinishReason, ...] = ("length", "content_filter", "refusal", "pause")
_USAGES: dict[str, Usage] = {
    "cached tokens": Usage(10, 5, tokens_cached=4),
    "tokens of reasoning": Usage(10, 5, tokens_reasoning=2),
    "tokens written to a cache": Usage(10, 5, tokens_cache_write=3),
    "tokens written to a cache for an hour": Usage(10, 5, tokens_cache_write_1h=3),
    "tokens of audio": Usage(10, 5, audio_in=3, audio_out=2),
    "tokens of images": Usage(10, 5, image_in=3, image_out=2),
    "the service tier": Usage(10, 5, tier="priority"),
    "calls of the provider's own tools": Usage(10, 5, tools=(("web_search", 2),)),
}


def whole(content: Sequence[Piece], finish: Finish = _STOP, usage: Usage = _USED) -> list[Piece]:
    """Return an answer with this content."""
    return [Start("x1", "m-1"), *content, finish, UsagePiece(usage), Done()]


# A web page and a document as the dialects cite them, by the name of the author's dialect.
_URL = b'"type":"url_citation","url":"https://x.test","title":"a page","start_index":0,"end_index":5'
_WEB = (
    b'"type":"web_search_result_location","url":"https://x.test","title":"a page","cited_text":"","encrypted_index":""'
)
_PAGES = {
    "anthropic": b"{%b}" % _WEB,
    "openai-chat": b'{"type":"url_citation","url_citation":{%b}}' % _URL.partition(b",")[2],
    "openai-responses": b"{%b}" % _URL,
}
_FILES = {"anthropic": Raw(b'{"type":"char_location"}')}
_FILE = Raw(b'{"type":"file_citation","file_id":"a","filename":"a.pdf","index":0}')


def answer_features(origin: str, signature: str) -> dict[str, list[Piece]]:
    """Return answers that each have one feature, by its name. `origin` is the author of reasoning and citations."""
    proof, hidden = SignaturePiece(signature, origin), SignaturePiece(signature, origin, is_redacted=True)
    page = CitationPiece(Raw(_PAGES.get(origin, b"{}")), origin, "https://x.test", "a page", 0, 5)
    thought = ReasoningPiece("hm", begins=True)
    found: dict[str, list[Piece]] = {
        "several blocks of text": whole((*_PLAIN, TextPiece("you", begins=True))),
        "log probabilities": whole((TextPiece("Hello", begins=True, logprobs=_TOKENS),)),
        "a citation of a web page": whole((*_PLAIN, page)),
        "a citation of a document": whole((*_PLAIN, CitationPiece(_FILES.get(origin, _FILE), origin))),
        "reasoning": whole((thought, proof, *_PLAIN)),
        "hidden reasoning": whole((hidden, *_PLAIN)),
        "reasoning between texts": whole((*_PLAIN, thought, proof, TextPiece("you", begins=True))),
        "reasoning without a proof": whole((thought, *_PLAIN)),
        "a refusal": whole((RefusalPiece("no"),), Finish("refusal")),
        "a refusal before a text": whole((RefusalPiece("no"), *_PLAIN), Finish("refusal")),
        "a call": whole((*_PLAIN, *_CALL), Finish("tool_calls")),
        "parallel calls": whole((*_CALL, *_OTHER), Finish("tool_calls")),
        "a text behind a call": whole((*_CALL, *_PLAIN), Finish("tool_calls")),
        "a call of a custom tool": whole(
            (ToolBegin(0, "call_0", "f", is_custom=True), ToolArguments(0, "any text")), Finish("tool_calls")
        ),
        "spoken output": whole((AudioPiece(Raw(b'{"id":"a","data":"QUJD","transcript":"Hi"}')),)),
        "a reached stop sequence": whole(_PLAIN, Finish("stop_sequence", "END")),
        "the details of a refusal": whole(_PLAIN, Finish("refusal", details=Raw(b'{"type":"refusal"}'))),
    }
    found |= {f"the finish reason {reason}": whole(_PLAIN, Finish(reason)) for reason in _REASONS}
    return found | {name: whole(_PLAIN, usage=usage) for name, usage in _USAGES.items()}


def _json(text: str) -> str:
    """Return JSON in one form, and any other text as it is. Anthropic's clients get such a text in an object, and an
    empty object for no text."""
    if not text.strip():
        return "{}"
    try:
        found = json.loads(text)
    except ValueError:
        return text
    wrapped = found.get("INVALID_JSON") if isinstance(found, dict) and len(found) == 1 else None
    return _json(wrapped) if isinstance(wrapped, str) else json.dumps(found, sort_keys=True)


def _unmarked(piece: SignaturePiece) -> tuple[str, str]:
    """Return a signature and its author's dialect. Another author's is shown with a mark, and with an id."""
    signature, origin = read_signature(piece.signature, piece.origin)
    return (signature if origin == piece.origin else signature.rpartition("|")[2]), origin


_KINDS = {
    TextPiece: "text", RefusalPiece: "text", ReasoningPiece: "reasoning", SignaturePiece: "reasoning",
    ToolBegin: "call", AudioPiece: "audio",
}  # fmt: skip


def answer_facts(pieces: Sequence[Piece]) -> dict[str, object]:
    """Return the facts of an answer by their names. Two answers with equal facts mean the same."""

    def joined(kind: type[TextPiece] | type[ReasoningPiece] | type[RefusalPiece]) -> str:
        return "".join(piece.text for piece in pieces if isinstance(piece, kind))

    text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece | RefusalPiece))
    finish = next((piece for piece in pieces if isinstance(piece, Finish)), None)
    usage = next((piece.usage for piece in reversed(pieces) if isinstance(piece, UsagePiece)), Usage())
    calls = [piece for piece in merged(pieces) if isinstance(piece, tuple)]
    kinds = [_KINDS[type(piece)] for piece in pieces if type(piece) in _KINDS]
    proofs = [piece for piece in pieces if isinstance(piece, SignaturePiece)]
    cited = [piece for piece in pieces if isinstance(piece, CitationPiece)]
    return {
        "the text": sorted(text),
        "the order of texts": text,
        "refusals": joined(RefusalPiece),
        "reasoning": "".join(joined(ReasoningPiece).split()),
        "the signatures of reasoning": [(*_unmarked(one), one.is_redacted) for one in proofs],
        "the order of blocks": [kind for kind, _ in groupby(kinds)],
        "the borders between texts": [piece.begins for piece in merged(pieces) if isinstance(piece, TextPiece)],
        "calls": [(begin.name, _json(text)) for begin, text in calls],
        "the calls of custom tools": [begin.is_custom for begin, _ in calls],
        "the ids of calls": [begin.id for begin, _ in calls],
        "log probabilities": [bytes(one.logprobs) for one in pieces if isinstance(one, TextPiece) and one.logprobs],
        "citations": [(one.url, one.title) if one.url else bytes(one.raw) for one in cited],
        "spoken output": [bytes(one.raw) for one in pieces if isinstance(one, AudioPiece)],
        "the finish reason": None if finish is None else finish.reason,
        "the stop sequence": "" if finish is None else finish.stop_sequence,
        "the details of a refusal": None if finish is None else finish.details,
        **{name: getattr(usage, name) for name in usage.__struct_fields__},
    }


def answer_differences(before: Sequence[Piece], after: Sequence[Piece]) -> dict[str, tuple[object, object]]:
    """Return the facts that differ, with both values."""
    old, new = answer_facts(before), answer_facts(after)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}
