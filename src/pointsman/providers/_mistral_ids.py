"""Ids of calls of tools as Mistral takes them: nine letters and digits.

Mistral rejects any other id with a 400 of the code 3280:
https://mistralai.github.io/mistral-common/usage/tools/, https://github.com/anomalyco/opencode/issues/1680. Ids of other
providers, such as `call_0` and `toolu_01ABC`, come with a conversation that another model began. Mistral's models at
OpenRouter reject them too:
https://github.com/openclaw/openclaw/issues/57672. vLLM shortens ids itself:
https://docs.vllm.ai/en/v0.22.1/api/vllm/tokenizers/mistral/.
"""

import re
from hashlib import sha256
from string import ascii_letters, digits

import msgspec
from msgspec import Raw

from pointsman.wire.json_object import UNREADABLE, encode_object

LENGTH = 9
_ALPHABET = digits + ascii_letters
_FITS = re.compile(r"[a-zA-Z0-9]{9}")
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_ID = msgspec.json.Decoder(str)


def with_fitting_ids(fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields of a chat with ids of calls that Mistral takes. An id in a call and in its result stays the
    same one. Fields of a wrong shape stay as they are, since the provider says what is wrong with them."""
    messages = fields.get("messages", Raw(b""))
    if b'"tool_call' not in bytes(messages):
        return fields
    try:
        changed = [_message(one) for one in _OBJECTS.decode(messages)]
    except UNREADABLE:
        return fields
    return {**fields, "messages": Raw(encode_object(changed))}


def _message(message: dict[str, Raw]) -> dict[str, Raw]:
    out = dict(message)
    if "tool_call_id" in out:
        out["tool_call_id"] = _fitting(out["tool_call_id"])
    if bytes(out.get("tool_calls", b"")).startswith(b"["):
        calls = [
            {**call, "id": _fitting(call["id"])} if "id" in call else call
            for call in _OBJECTS.decode(out["tool_calls"])
        ]
        out["tool_calls"] = Raw(encode_object(calls))
    return out


def _fitting(raw: Raw) -> Raw:
    """Return an id in JSON. One that does not fit is replaced by a digest of it."""
    if not bytes(raw).startswith(b'"'):
        return raw
    given = _ID.decode(raw)
    if _FITS.fullmatch(given):
        return raw
    number, out = int.from_bytes(sha256(given.encode("utf-8", "surrogatepass")).digest()[:8]), ""
    for _ in range(LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        out += _ALPHABET[place]
    return Raw(encode_object(out))
