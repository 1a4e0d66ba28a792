"""Signatures of thoughts, which a later request must have at the part that they came with.

A client returns the reasoning of an answer, but not always at its place among the texts and calls. So the signature of
a block says which part it belongs to: `call:ID:SIGNATURE`, `text::SIGNATURE` or `thought::SIGNATURE`.
https://ai.google.dev/gemini-api/docs/thought-signatures

A client of this dialect sees a signature at its part, as base64. SDKs decode it, and send it again in the alphabet for
URLs. So the proof of another author is encoded too, with the mark of `wire.translation` in front.
"""

from binascii import Error, a2b_base64, b2a_base64

import msgspec

from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.translation import MARK, mark_signature, read_signature

NAME = "gemini"
CALL, TEXT, THOUGHT = "call", "text", "thought"
MARKED = b2a_base64(MARK.encode("ascii"), newline=False).decode("ascii")  # the beginning of each proof with a mark

_PROOF = msgspec.json.Decoder(tuple[str, str, bool])  # the signature, the author's id of it, and if it is redacted
_STANDARD = str.maketrans("-_", "+/")


def placed(kind: str, signature: str, call_id: str = "") -> str:
    """Return a signature with its place."""
    return f"{kind}:{call_id}:{signature}"


def place_of(placed_signature: str) -> tuple[str, str, str]:
    """Return the kind of part, the id of a call, and the signature itself, which is the rest."""
    kind, _, rest = placed_signature.partition(":")
    call_id, _, signature = rest.rpartition(":")  # a signature is base64, and an id may hold a colon
    return kind, call_id, signature


class Proof(msgspec.Struct, frozen=True, gc=False):
    """The proof of reasoning by the author `origin`, with the author's id of it."""

    signature: str
    origin: str
    id: str = ""
    is_redacted: bool = False


def standard_base64(data: str) -> str:
    """Return base64 in its usual alphabet, with its padding. Google reads both alphabets, and other providers one."""
    if "-" in data or "_" in data:
        data = data.translate(_STANDARD)
    return data + "=" * (-len(data) % 4)


def shown(proof: Proof) -> str:
    """Return a proof of another author as a client of this dialect sees it."""
    text = encode_object((proof.signature, proof.id, proof.is_redacted)).decode()
    marked = mark_signature(text, proof.origin, "")
    return b2a_base64(marked.encode("utf-8", "surrogatepass"), newline=False).decode("ascii")


def read_shown(signature: str) -> Proof | None:
    """Return the proof of another author. It is `None` for a signature of this dialect's own."""
    if not signature.startswith(MARKED):
        return None
    try:
        text, origin = read_signature(a2b_base64(standard_base64(signature)).decode(), "")
        found, name, is_redacted = _PROOF.decode(text)
    except (Error, ValueError, *UNREADABLE):
        return None
    return Proof(found, origin, name, is_redacted)
