"""The reference page of the dialects: the differences that a translation makes, found by the probes of
`fakes.dialects`."""

from collections.abc import Iterator

from fakes.answered import whole
from fakes.dialects import (
    PAIRS,
    Changes,
    Pair,
    answer_changes,
    example,
    features_of,
    halves,
    probed,
    sent,
    translated,
)
from fakes.requested import Feature, differences, lost_texts, texts_of
from pointsman.domain.pieces import TextPiece
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.translation import translate
from pointsman.wire.upstreams import ONLY_UPSTREAM

INTRODUCTION = """# Dialects

A client speaks one of these dialects, and so does a provider. If both speak the same, their bytes pass, and nothing on
this page applies. If not, the gateway translates.

A request that the provider's dialect cannot express is not sent there: it goes to another target, or is rejected with
the reason. A field that only labels a request is dropped if no better target is left, and the answer's header
`x-pointsman-dropped` names it. Reasoning goes back only to a provider of its author's dialect. This page lists all
other differences of a translation. Parts that it does not list are translated as they are.

Some dialects only providers speak. For them, this page lists only the parts that are not sent. [The
guide](../guides/dialects.md#gemini) has the other differences.

| dialect | path |
|---|---|
"""
_PATHS = {"gemini": "/genai/v1beta/models/{model}:generateContent"}  # which name the model
_MAX_SHOWN = 50  # characters of a value
_FIELDS = frozenset({"effort", "tier", "seed", "user", "metadata", "verbosity"})


def page() -> str:
    """Return the page."""
    rows = [f"| `{one.name}` | `{_PATHS.get(one.name, f'/v1{one.path}')}` |" for one in CONVERSATIONS]
    sections = [section for client, provider in PAIRS for section in _sections(client, provider)]
    sections += [part for client in CONVERSATIONS for name in ONLY_UPSTREAM for part in _upstream(client, name)]
    return INTRODUCTION + "\n".join([*rows, "", *sections])


def _upstream(client: Dialect, name: str) -> Iterator[str]:
    """Yield the section of a dialect that only providers speak. Its requests cannot be read, so the section lists only
    the parts that are not sent."""
    yield f"## A client of `{client.name}`, a provider of `{name}`\n"
    rows: list[tuple[str, str]] = []
    for feature in features_of(client):
        call = sent(client, example(client, feature))
        if call is None:
            continue
        written = translate(halves(client), ONLY_UPSTREAM[name].halves, call, reasons=True)
        if written.cannot:
            rows.append((feature.name, f"cannot be expressed: {', '.join(written.cannot)}"))
        elif written.dropped:
            rows.append((feature.name, f"dropped: {', '.join(f'`{one}`' for one in written.dropped)}"))
    yield from _table("part of the request", rows)


def _sections(client: Dialect, provider: Dialect) -> Iterator[str]:
    found = probed(client, provider)
    yield f"## A client of `{client.name}`, a provider of `{provider.name}`\n"
    yield from _table("part of the request", list(_requests(client, provider, found)))
    usual = answer_changes(client, provider, whole((TextPiece("Hello", begins=True),)))
    rows = [("every answer", text) for text in _listed(usual)]
    for name, changes in found.answers.items():
        special = {fact: values for fact, values in changes.items() if usual.get(fact) != values}
        rows += [(name, "; ".join(_listed(special)))] if special else []
    yield from _table("part of the answer", rows)


def _table(head: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f"| {head} | result |\n|---|---|"
    for name, text in rows:
        yield f"| {name} | {text.replace('|', chr(92) + '|')} |"
    yield ""


def _requests(client: Dialect, provider: Dialect, found: Pair) -> Iterator[tuple[str, str]]:
    shown: set[str] = set()
    for name, reasons in found.cannot.items():
        yield name, f"cannot be expressed: {', '.join(reasons)}"
    for name, fields in found.dropped.items():
        yield name, f"dropped: {', '.join(f'`{one}`' for one in fields)}"
    for feature in features_of(client):
        if feature.name in found.changed and feature.name not in found.dropped:
            texts = [text for text in _request_changes(client, provider, feature) if text not in shown]
            shown.update(texts)
            if texts:
                yield feature.name, "; ".join(texts)


def _request_changes(client: Dialect, provider: Dialect, feature: Feature) -> Iterator[str]:
    """Yield the changes of a feature that the provider's dialect expresses in some way."""
    call = sent(client, example(client, feature))
    assert call is not None
    before, (_, after) = halves(client).read_request(call), translated(client, provider, call)
    assert after is not None
    changes = differences(before, after)
    if "the files in results" in changes and not {"images", "documents"} & changes.keys():
        del changes["the files in results"], changes["the borders between texts"]
        yield "the files follow in a message of the user"
    yield from _listed(changes)
    if {"documents", "refusals"} & changes.keys() and not lost_texts(before, after):
        yield "the text stays"
    if "the errors of results" in changes and texts_of(before, "result") != texts_of(after, "result"):
        yield f"the text becomes `{' '.join(texts_of(after, 'result'))}`"


def _listed(changes: Changes) -> Iterator[str]:
    """Yield one clause for each change."""
    for fact, (before, after) in changes.items():
        name = f"`{fact}`" if "_" in fact or fact in _FIELDS else fact
        if _is_empty(after) and not (_is_empty(before) and _is_plain(after)):
            yield f"{name}: left out"
        elif _is_plain(after) and _is_plain(before):
            yield (
                f"{name}: {_value(after)}" if _is_empty(before) else f"{name}: {_value(before)} becomes {_value(after)}"
            )
        else:
            yield f"{name}: changed"


def _is_empty(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_empty(one) for one in value)
    return value in (None, False, "", 0)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) == 1 and _is_plain(value[0])
    return isinstance(value, str | int | float | None) and len(str(value)) <= _MAX_SHOWN


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return _value(value[0])
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
