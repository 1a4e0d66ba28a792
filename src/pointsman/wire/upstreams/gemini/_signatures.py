"""Signatures of thoughts, which a later request must have at the part that they came with.

A client returns the reasoning of an answer, but not always at its place among the texts and calls. So the signature of
a block says which part it belongs to: `call:ID:SIGNATURE`, `text::SIGNATURE` or `thought::SIGNATURE`.
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

NAME = "gemini"
CALL, TEXT, THOUGHT = "call", "text", "thought"


def placed(kind: str, signature: str, call_id: str = "") -> str:
    """Return a signature with its place."""
    return f"{kind}:{call_id}:{signature}"


def place_of(placed_signature: str) -> tuple[str, str, str]:
    """Return the kind of part, the id of a call, and the signature itself, which is the rest."""
    kind, _, rest = placed_signature.partition(":")
    call_id, _, signature = rest.rpartition(":")  # a signature is base64, and an id may hold a colon
    return kind, call_id, signature
