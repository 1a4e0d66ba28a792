"""Leave out reasoning of other authors before a request goes to Google, which rejects their proofs.

https://ai.google.dev/gemini-api/docs/thought-signatures
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.dialects.gemini._signatures import MARKED, read_shown
from pointsman.wire.json_object import UNREADABLE, encode_object, read_or

_MARK = f'"{MARKED}'.encode("ascii")
_CONTENTS = msgspec.json.Decoder(list[dict[str, Raw]])
_PARTS = msgspec.json.Decoder(list[dict[str, Raw]])
_OF_THOUGHT = frozenset({"text", "thought", "thoughtSignature"})  # with any other field, a part is more than a thought


class _Signed(Struct, rename="camel", gc=False):
    thought: bool | None = None
    thought_signature: str = ""


_SIGNED = msgspec.json.Decoder(_Signed)


def own_fields(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields without proofs of other authors, and without the thoughts that they prove. All other contents
    keep their bytes."""
    contents = fields.get("contents", Raw(b""))
    if bytes(contents).find(_MARK) < 0:
        return fields
    try:
        found = _CONTENTS.decode(contents)
        kept = [_without_foreign(content) for content in found]
    except UNREADABLE:
        return fields
    return {**fields, "contents": Raw(encode_object([one for one in kept if bytes(one.get("parts", b"")) != b"[]"]))}


def _without_foreign(content: dict[str, Raw]) -> dict[str, Raw]:
    parts = content.get("parts", Raw(b"null"))
    if bytes(parts).find(_MARK) < 0:
        return content
    kept: list[dict[str, Raw]] = []
    for part in _PARTS.decode(parts):
        signed = read_or(_SIGNED, encode_object(part), _Signed())
        if read_shown(signed.thought_signature) is None:
            kept.append(part)
            continue
        if not signed.thought or not part.keys() <= _OF_THOUGHT:
            kept.append({name: raw for name, raw in part.items() if name != "thoughtSignature"})
            continue
        while kept and bytes(kept[-1].get("thought", b"")) == b"true" and "thoughtSignature" not in kept[-1]:
            kept.pop()  # the text of the same thought
    return {**content, "parts": Raw(encode_object(kept))}
