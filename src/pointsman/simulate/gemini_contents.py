"""The contents of a request in Gemini's dialect: their rules, which a strict provider checks, and their tokens.

https://ai.google.dev/api/caching#Content, https://ai.google.dev/gemini-api/docs/function-calling,
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from pointsman.simulate.answers import RequestContext
from pointsman.simulate.gemini_errors import invalid
from pointsman.simulate.model import CALL_OVERHEAD, is_sealed
from pointsman.simulate.text import count_tokens

# Google documents this text for calls that another model made.
_FOREIGN = "skip_thought_signature_validator"
_CONTENT_TOKENS, _MEDIA_TOKENS = 3, 258
_COUNTS_DIFFER = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the"
    " function call turn."
)
_NO_CALL = "Please ensure that function response turn comes immediately after a function call turn."
_DATA = ("text", "inline_data", "file_data", "function_call", "function_response")


class Blob(Struct, rename="camel", forbid_unknown_fields=True):
    mime_type: str
    data: str


class File(Struct, rename="camel", forbid_unknown_fields=True):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(Struct, forbid_unknown_fields=True):
    name: str
    id: str | None = None
    args: dict[str, Any] = {}


class FunctionResponse(Struct, forbid_unknown_fields=True):
    name: str
    response: dict[str, Any]
    id: str | None = None
    parts: list[dict[str, Any]] = []


class Part(Struct, rename="camel", forbid_unknown_fields=True):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: File | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    media_resolution: dict[str, Any] | None = None

    @property
    def tokens(self) -> int:
        if self.text is not None:
            return count_tokens(self.text)
        if self.function_call is not None:
            return count_tokens(msgspec.json.encode(self.function_call.args).decode()) + CALL_OVERHEAD
        if self.function_response is not None:
            return count_tokens(msgspec.json.encode(self.function_response.response).decode())
        return _MEDIA_TOKENS


class Content(Struct, forbid_unknown_fields=True):
    parts: list[Part]
    role: Literal["user", "model", "function"] = "user"

    @property
    def tokens(self) -> int:
        return _CONTENT_TOKENS + sum(part.tokens for part in self.parts)

    @property
    def calls(self) -> int:
        """The number of calls in it."""
        return sum(part.function_call is not None for part in self.parts)

    @property
    def results(self) -> int:
        """The number of results of calls in it."""
        return sum(part.function_response is not None for part in self.parts)


def sealed_name(call: FunctionCall) -> str:
    """Return the text that the signature of a call proves."""
    return f"{call.name}:{msgspec.json.encode(call.args).decode()}"


def check_contents(context: RequestContext, contents: list[Content]) -> None:
    """Raise `Rejected` if the conversation breaks a rule."""
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    calls = 0
    for at, content in enumerate(contents):
        if not content.parts:
            raise invalid(f"* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.")
        for number, part in enumerate(content.parts):
            place = f"contents[{at}].parts[{number}]"
            if sum(getattr(part, name) is not None for name in _DATA) != 1:
                raise invalid(f"* GenerateContentRequest.{place}.data: required oneof field 'data' must have one value")
            _check_signature(context, part)
        if content.results and not calls:
            raise invalid(_NO_CALL)
        if calls and content.results != calls:
            raise invalid(_COUNTS_DIFFER)
        calls = content.calls
    if calls:
        raise invalid(_COUNTS_DIFFER)


def _check_signature(context: RequestContext, part: Part) -> None:
    """Check that the signature of a call is this provider's own."""
    call, found = part.function_call, part.thought_signature
    if call is None or found is None or found == _FOREIGN:
        return
    if not is_sealed(context, "functionCall", sealed_name(call), found):
        raise invalid("Corrupted thought signature.")
