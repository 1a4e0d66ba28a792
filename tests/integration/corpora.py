"""Public collections of hostile input stored beside the repository. Tests are skipped if they are missing."""

import re
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

_ROOT = Path(__file__).parents[3] / "shared/data/corpora"
_BLOCK = re.compile(r"<!-- meta=(\{.*?\}) -->\s*```http\n(.*?)\n?```(?:(?:(?!<!--).)*?```log\n(.*?)\n```)?", re.DOTALL)


class Vector(Struct):
    """One of llhttp's own tests: the bytes, and llhttp's result with the leniency of `kind`.

    `messages` is the largest number of complete messages in them.
    """

    name: str
    kind: str
    data: bytes
    messages: int
    is_refused: bool


def llhttp(folder: str) -> list[Vector]:
    """Return the vectors in `request` or `response`, read like llhttp's test runner does."""
    root = _existing("llhttp/test")
    found = []
    for file in sorted((root / folder).glob("*.md")):
        for index, match in enumerate(_BLOCK.finditer(file.read_text())):
            log = match[3] or ""
            kind = msgspec.json.decode(match[1], type=dict[str, object])["type"]
            found.append(
                Vector(
                    f"{file.stem}-{index}",
                    str(kind),
                    _unescaped(match[2]),
                    log.count("message complete"),
                    "error code=" in log,
                )
            )
    assert len(found) > 50, "the format of the test vectors has changed"
    return found


def _unescaped(text: str) -> bytes:
    text = re.sub(r"\\\n", "", text)  # a line continued
    text = text.replace("\n", "\r\n")
    for escape, char in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f")):
        text = text.replace(escape, char)
    text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)
    return text.encode("latin-1", "replace")


def json_texts() -> list[tuple[str, bytes]]:
    """Return files by name. Those in `y_…` are JSON, those in `n_…` are not; parsers may differ on `i_…`."""
    root = _existing("json/test_parsing")
    return [(file.name, file.read_bytes()) for file in sorted(root.glob("*.json"))]


def naughty_strings() -> list[str]:
    """Return strings that have broken programs."""
    return msgspec.json.decode(_existing("strings/blns.json").read_bytes(), type=list[str])


def _existing(path: str) -> Path:
    root = _ROOT / path
    if not root.exists():
        pytest.skip(f"the corpus shared/data/corpora/{path} is not beside this repository")
    return root
