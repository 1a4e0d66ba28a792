"""Deterministic text, token counts, and the smallest JSON that fits a schema."""

import random
from typing import Any, Literal

import msgspec

_WORDS = """
    signal points line track train siding lever frame block section station platform gauge rail junction
    crossing yard depot tender engine driver guard whistle lamp route branch main local express freight goods
    timetable clear caution danger arrive depart couple brake steam diesel electric wire bridge tunnel cutting
    summit valley
""".split()  # noqa: SIM905 -- a list would take one line per word

_MESSAGE_TOKENS = 3  # tokens of a message besides its text
_MEDIA_TOKENS = 85  # tokens of an image or another part that is not text
_JSON_TOKEN_CHARS = 4


def count_tokens(text: str) -> int:
    """Count one token for every four bytes of UTF-8, rounded up."""
    return -(-len(text if text.isascii() else text.encode("utf-8", "surrogatepass")) // 4)


def content_tokens(content: str | list[dict[str, Any]] | None) -> int:
    """Count the tokens of a message's content, a string or a list of parts."""
    if content is None:
        return _MESSAGE_TOKENS
    if isinstance(content, str):
        return _MESSAGE_TOKENS + count_tokens(content)
    texts = [part.get("text") for part in content]
    return _MESSAGE_TOKENS + sum(count_tokens(text) if isinstance(text, str) else _MEDIA_TOKENS for text in texts)


def words(count: int, style: Literal["words", "numbered"], rng: random.Random) -> list[str]:
    """Return `count` tokens, which form a text when they are joined."""
    if style == "numbered":
        return [f" {number}" for number in range(count)]
    chosen = rng.choices(_WORDS, k=count)
    return [" " + word if position else word.capitalize() for position, word in enumerate(chosen)]


def json_tokens(value: object) -> list[str]:
    """Encode a JSON value as compact text, cut into tokens."""
    text = msgspec.json.encode(value).decode()
    return [text[at : at + _JSON_TOKEN_CHARS] for at in range(0, len(text), _JSON_TOKEN_CHARS)]


def minimal(schema: Any, depth: int = 0) -> Any:
    """Return the smallest value that fits a JSON schema. Keywords that refer to other schemas, such as `$ref`, are
    ignored."""
    if not isinstance(schema, dict) or depth > 32:
        return None
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if schema.get("enum"):
        return schema["enum"][0]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if schema.get(keyword):
            return minimal(schema[keyword][0], depth + 1)
    kind: Any = schema.get("type", "object" if "properties" in schema else "null")
    if isinstance(kind, list):
        kind = kind[0]
    match kind:
        case "object":
            properties = schema.get("properties", {})
            names: list[str] = schema.get("required") or list(properties)
            return {name: minimal(properties.get(name), depth + 1) for name in names}
        case "array":
            return [minimal(schema.get("items"), depth + 1)] * int(schema.get("minItems", 0))
        case "string":
            return "x" * max(1, int(schema.get("minLength", 1)))
        case "integer":
            return int(schema.get("minimum", 0))
        case "number":
            return float(schema.get("minimum", 0))
        case "boolean":
            return False
        case _:
            return None
