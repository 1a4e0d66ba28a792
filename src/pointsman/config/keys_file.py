"""The file of further virtual keys: one JSON object per line, for many thousands of keys.

    {"name": "user-1", "value": "sha256:…", "team": "research", "budgets": [{"limit_usd": 5, "per": "day"}]}

The fields are those of an entry of `governance.virtual_keys`, and `name`; `value` and `previous_value` are digests.
Most keys differ only in name and value. The rest, the policy, is checked once for all keys that share it, by the code
that checks the configuration.
"""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw
from pydantic import ValidationError

from pointsman.config.key_directory import KeyDirectory, KeyRow, as_policy
from pointsman.config.load import explain, location_of
from pointsman.config.problems import Findings
from pointsman.config.schema import VirtualKeySettings
from pointsman.config.source import Source
from pointsman.domain.identity import VirtualKey

MAX_BYTES = 1024 * 1024 * 1024
MAX_REPORTED = 20

_LINE = msgspec.json.Decoder(dict[str, Raw])
_NAME = re.compile(rb'"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"')
_VALUE = re.compile(rb'"sha256:([0-9a-fA-F]{64})"')
_PLACE = ("governance", "virtual_keys", "name")

CompileKey = Callable[[str, bytes, VirtualKeySettings, Findings], VirtualKey]


class KeysFileError(Exception):
    """A faulty file of keys: a message for each of the first faults, and the number of the others."""

    def __init__(self, problems: list[str], more: int) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.more = more


def read_keys(path: Path, names: Collection[str], digests: Collection[bytes], compile_key: CompileKey) -> KeyDirectory:
    """Read and check a file. `names` and `digests` are already in use. Raises `KeysFileError` and `OSError`."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise KeysFileError([f"has {size} bytes; the limit is {MAX_BYTES} bytes"], 0)
    reading = _KeyRows(names, digests, compile_key)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                reading.read_line(number, line)
    if reading.problems:
        raise KeysFileError(reading.problems[:MAX_REPORTED], max(0, len(reading.problems) - MAX_REPORTED))
    return KeyDirectory.build(reading.rows, reading.policies)


class _KeyRows:
    """Collects the rows, policies and problems of a file."""

    def __init__(self, names: Collection[str], digests: Collection[bytes], compile_key: CompileKey) -> None:
        self.rows: list[KeyRow] = []
        self.policies: list[VirtualKey] = []
        self.problems: list[str] = []
        self._taken_names, self._taken_digests = names, digests
        self._names: dict[str, int] = {}  # by name: its line
        self._digests: dict[bytes, int] = {}
        self._numbers: dict[bytes, int] = {}  # policy numbers by the other fields of a line
        self._compile_key = compile_key
        self._encode = msgspec.json.Encoder().encode

    def read_line(self, number: int, line: bytes) -> None:
        try:
            fields = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._problem(number, f"must be one JSON object: {error}")
            return
        name = _NAME.fullmatch(bytes(fields.pop("name", b"")))
        value = _VALUE.fullmatch(bytes(fields.pop("value", b"")))
        previous = fields.pop("previous_value", None)
        older = _VALUE.fullmatch(bytes(previous)) if previous is not None else None
        if name is None or value is None or (previous is not None and older is None):
            self._problem(number, _form(name is None, "previous_value" if value is not None else "value"))
            return
        text = name[0][1:-1].decode()
        digests = {
            field: bytes.fromhex(match[1].decode())
            for field, match in (("previous_value", older), ("value", value))
            if match is not None
        }
        if text in self._names or text in self._taken_names:
            self._problem(number, f"name: {text!r} is already used {_where(self._names.get(text))}; choose another")
            return
        if digests.get("previous_value") == digests["value"]:
            self._problem(
                number,
                "previous_value: is the same as `value`; set `value` to the new key, or remove `previous_value`",
            )
            return
        for field, digest in digests.items():
            if digest in self._digests or digest in self._taken_digests:
                self._problem(number, f"{field}: already used {_where(self._digests.get(digest))}; create another key")
                continue
            self._names[text] = self._digests[digest] = number
            policy = self._policy(number, text, digest, fields)
            self.rows.append(KeyRow(digest, text, policy, field == "value"))

    def _policy(self, number: int, name: str, digest: bytes, fields: dict[str, Raw]) -> int:
        encoded = self._encode(fields)
        found = self._numbers.get(encoded)
        if found is None:
            found = self._numbers[encoded] = len(self._numbers)
            findings = Findings(Source({}, {}))
            try:
                data: dict[str, Any] = msgspec.json.decode(encoded)
                settings = VirtualKeySettings.model_validate({**data, "value": f"sha256:{digest.hex()}"})
            except msgspec.DecodeError as error:
                self._problem(number, f"must be one JSON object: {error}")
            except ValidationError as error:
                for item in error.errors(include_url=False):
                    place = location_of(item)
                    self._problem(number, f"{'.'.join(map(str, place))}: {explain((*_PLACE, *place), item)}")
            else:
                self.policies.append(as_policy(self._compile_key(name, digest, settings, findings)))
            for problem in findings.errors():
                self._problem(number, str(problem))
        return found

    def _problem(self, number: int, message: str) -> None:
        self.problems.append(f"line {number}: {message}")


def _form(is_name: bool, field: str) -> str:
    if is_name:
        return "name: must have 1 to 64 letters, digits, dots, dashes and underscores"
    return f"{field}: must be `sha256:` and the SHA-256 of the key, in 64 hexadecimal digits"


def _where(line: int | None) -> str:
    return f"on line {line}" if line is not None else "in the configuration file or by a key made by API"
