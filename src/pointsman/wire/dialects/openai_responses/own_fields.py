"""The fields of a client's request for a provider that speaks the same dialect.

A conversation may move between providers of several dialects. The reasoning of other authors is shown to the client as
encrypted content with a mark, and OpenAI rejects encrypted content that is not its own.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.dialects.openai_responses._shapes import LIST, NAME, NOTHING
from pointsman.wire.json_object import encode_object, read_or
from pointsman.wire.translation import MARK, read_signature


class _Proof(Struct, gc=False):
    type: str = ""
    encrypted_content: str = ""


_PROOF = msgspec.json.Decoder(_Proof)
_QUOTED = b'"%b' % MARK.encode()


def own_fields(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields without reasoning of other authors. Nearly all requests have none and stay as they are."""
    text = fields.get("input", NOTHING)
    if _QUOTED not in bytes(text):
        return fields
    items = read_or(LIST, text, [])
    kept = [item for item in items if not _is_foreign(item)]
    return fields if len(kept) == len(items) else {**fields, "input": Raw(encode_object(kept))}


def _is_foreign(item: Raw) -> bool:
    proof = read_or(_PROOF, item, _Proof())
    return proof.type == "reasoning" and read_signature(proof.encrypted_content, NAME)[1] != NAME
