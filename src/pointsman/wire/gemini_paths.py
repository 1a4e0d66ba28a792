"""The paths of Gemini's API, which name a model and what to do with it.

    /genai/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse
    /genai/v1/models/openai/gpt-5:generateContent
    /genai/v1beta1/publishers/google/models/gemini-3-flash:countTokens

https://ai.google.dev/api, and for `publishers` https://cloud.google.com/vertex-ai/docs/reference/rest. The name of a
model is the text between its collection and the last colon. A publisher other than Google is a part of the name.
"""

import re
from urllib.parse import parse_qsl, unquote, urlencode

from msgspec import Struct

GEMINI_BASE = "/genai/"
KEY = "key"  # the parameter that names the key: https://cloud.google.com/docs/authentication/api-keys-use
_VERSION = r"/genai/v1(?:alpha|beta|beta1)?"
_IN_PROJECT = r"(?:/projects/[^/:]+/locations/[^/:]+)?"
_ACTION = re.compile(
    rf"{_VERSION}(?:/(?P<collection>models|tunedModels)/|{_IN_PROJECT}/publishers/(?P<publisher>[^/:]+)/models/)"
    r"(?P<model>.+):(?P<action>[A-Za-z]+)"
)
_LIST = re.compile(rf"{_VERSION}/models(?:/(?P<model>.+))?")
_LISTING = ("GET", "HEAD")
_STREAMED, _WHOLE = "streamGenerateContent", "generateContent"
_OF_GOOGLE = "google"


class GeminiPath(Struct, frozen=True, gc=False):
    """A path and a query. `path` is `/` and the action, or `/models`. `query` lacks the `key`."""

    path: str
    model: str = ""
    streams: bool = False
    query: str = ""
    key: str = ""


def split_path(method: str, path: str, query: str) -> GeminiPath | None:
    """Return the parts of a path and its query. It is `None` for any other path. Models are listed with `GET` and
    `HEAD`, so a colon is a part of a name there."""
    given = parse_qsl(query, keep_blank_values=True)
    key = next((value for name, value in given if name == KEY), "")
    rest = urlencode([(name, value) for name, value in given if name != KEY])
    found = None if method in _LISTING else _ACTION.fullmatch(path)
    if found is None:
        listed = _LIST.fullmatch(path)
        return None if listed is None else GeminiPath("/models", unquote(listed["model"] or ""), query=rest, key=key)
    model, action = unquote(found["model"]), found["action"]
    if found["collection"] == "tunedModels":
        model = f"tunedModels/{model}"
    if found["publisher"] not in (None, _OF_GOOGLE):
        model = f"{found['publisher']}/{model}"
    streams = action == _STREAMED
    return GeminiPath(f"/{_WHOLE if streams else action}", model, streams, rest, key)
