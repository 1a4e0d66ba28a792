"""Objects that Google stores for an account, as a request names them: cached contents, and files by their addresses.

https://ai.google.dev/api/caching, https://ai.google.dev/api/files
"""

import re

import msgspec
from msgspec import Raw

from pointsman.domain.state import Named, Touched
from pointsman.wire.json_object import is_empty, read_or

_NO_VALUE = Raw(b"")
_FILE = re.compile(rb'"https://generativelanguage\.googleapis\.com/[^"]*files/([A-Za-z0-9_-]+)"')
_TEXT = msgspec.json.Decoder(str)


def touched(fields: dict[str, Raw]) -> Touched | None:
    """Return the stored objects that a request names, or `None`."""
    names: list[Named] = []
    cached = fields.get("cachedContent", _NO_VALUE)
    if not is_empty(cached):
        names.append(Named("cached content", read_or(_TEXT, cached, ""), "cachedContent"))
    contents = bytes(fields.get("contents", b""))
    names += [Named("file", found.decode(), "fileUri") for found in dict.fromkeys(_FILE.findall(contents))]
    return Touched(tuple(names)) if names else None
