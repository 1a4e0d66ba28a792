"""Reasoning in OpenAI's chat dialect, which has no field for it of its own: two conventions of other servers.

`reasoning_content` (https://api-docs.deepseek.com/guides/reasoning_model), which newer servers call `reasoning`
(https://docs.vllm.ai/en/latest/features/reasoning_outputs), is a text without proof. `reasoning_details`
(https://openrouter.ai/docs/guides/best-practices/reasoning-tokens) are blocks with a signature or encrypted data. The
entries of a stream are parts: those of one `index` that follow each other are one block.

A client of another dialect shows and returns a block with one signature. So for an author of this dialect, the
signature also holds the form of the block: `kind:format:id:value`. A kind is the type of a detail, or the name of the
field of a plain text.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import Reasoning
from pointsman.wire.json_object import read_or
from pointsman.wire.translation import mark_signature, read_signature

NAME = "openai-chat"
PLAIN = ("reasoning_content", "reasoning")  # fields of a plain text
_TYPE = "reasoning."
TEXT, _ENCRYPTED = "reasoning.text", "reasoning.encrypted"
_UNKNOWN = "unknown"  # the format of a detail that is marked


class ReasoningDetail(Struct, omit_defaults=True, gc=False):
    """An entry of `reasoning_details`."""

    type: str
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None

    @property
    def kind(self) -> str:
        """The type without its prefix: `text`, `summary` or `encrypted`."""
        return self.type.removeprefix(_TYPE)

    @property
    def is_encrypted(self) -> bool:
        return self.kind == "encrypted"

    @property
    def visible(self) -> str:
        """The text that people may read."""
        return self.text or self.summary or ""


_DETAILS = msgspec.json.Decoder(list[ReasoningDetail] | None)
_NONE: list[ReasoningDetail] | None = None


def read_details(raw: Raw) -> list[ReasoningDetail]:
    """Return the entries. Malformed ones count as none, since a plain text stands beside them."""
    return read_or(_DETAILS, raw, _NONE) or []


def proof(detail: ReasoningDetail, value: str) -> str:
    """Return the signature of a block for an author of this dialect."""
    return f"{detail.kind}:{detail.format or ''}:{detail.id or ''}:{value}"


def plain_proof(field: str) -> str:
    """Return the signature of a plain text that the author sent in `field`."""
    return f"{field}:::"


def signature_of(detail: ReasoningDetail) -> tuple[str, str]:
    """Return the signature or the data of a block, and its author's dialect. A block without either is proven by its
    form alone."""
    shown = (detail.data if detail.is_encrypted else detail.signature) or ""
    signature, origin = read_signature(shown, NAME)
    return (proof(detail, signature) if origin == NAME else signature), origin


def merged(details: Iterable[ReasoningDetail]) -> list[ReasoningDetail]:
    """Return whole blocks of entries that may be parts."""
    blocks: list[ReasoningDetail] = []
    for one in details:
        last = blocks[-1] if blocks else None
        if last is None or one.index is None or (last.index, last.type) != (one.index, one.type) or one.is_encrypted:
            blocks.append(msgspec.structs.replace(one))
            continue
        last.text = _joined(last.text, one.text)
        last.summary = _joined(last.summary, one.summary)
        last.signature = _joined(last.signature, one.signature)
        last.id, last.format = last.id or one.id, one.format or last.format
    return blocks


def _joined(first: str | None, second: str | None) -> str | None:
    return (first or "") + (second or "") or None


def read_blocks(details: Iterable[ReasoningDetail]) -> list[Reasoning]:
    """Return the reasoning in the entries of an earlier answer."""
    found = []
    for block in merged(details):
        signature, origin = signature_of(block)
        if block.is_encrypted:
            found.append(Reasoning(redacted=signature, origin=origin, id=block.id or ""))
        else:
            found.append(Reasoning(block.visible, signature, origin=origin, id=block.id or ""))
    return found


def detail_of(signature: str, origin: str, id: str, is_redacted: bool) -> ReasoningDetail | None:  # noqa: A002
    """Return the entry that shows a signature to a client, without its text. A plain text needs none."""
    if origin != NAME:
        shown = mark_signature(signature, origin, NAME)
        if is_redacted:
            return ReasoningDetail(_ENCRYPTED, data=shown, id=id or None, format=_UNKNOWN)
        return ReasoningDetail(TEXT, signature=shown, id=id or None, format=_UNKNOWN)
    kind, form, own_id, value = _parts(signature)
    if kind == "encrypted":
        return ReasoningDetail(_ENCRYPTED, data=value, id=own_id or None, format=form or None)
    if kind not in {"text", "summary"} or not (value or form or own_id):
        return None
    return ReasoningDetail(TEXT, signature=value or None, id=own_id or None, format=form or None)


def for_author(part: Reasoning) -> tuple[str, ReasoningDetail | None]:
    """Return reasoning as its author of this dialect wrote it: the name of a plain field, or a detail. Neither is
    known for a form that cannot be sent back."""
    kind, form, own_id, value = _parts(part.redacted or part.signature)
    if kind in PLAIN:
        return kind, None
    detail = ReasoningDetail(_TYPE + kind, id=own_id or None, format=form or None)
    if kind == "encrypted":
        detail.data = value
    elif kind == "summary":
        detail.summary = part.text
    elif kind == "text":
        detail.text, detail.signature = part.text, value or None
    else:
        return "", None
    return "", detail


def _parts(signature: str) -> tuple[str, str, str, str]:
    kind, _, rest = signature.partition(":")
    form, _, rest = rest.partition(":")
    own_id, _, value = rest.partition(":")
    return kind, form, own_id, value
