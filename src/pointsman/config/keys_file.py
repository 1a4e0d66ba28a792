"""The file of further virtual keys: one JSON object a line, for those who have many thousands.

    {"name": "user-1", "value": "sha256:…", "team": "research", "budgets": [{"limit_usd": 5, "per": "day"}]}

The fields are those of an entry of `governance.virtual_keys`, and `name`; `value` and `previous_value` are digests.
Most keys differ in nothing but name and value; the rest, the policy, is checked once however many keys have it, by the
code that checks the configuration.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw
from pydantic import ValidationError

from pointsman.config.key_directory import Entry, KeyDirectory, pack
from pointsman.config.load import explain, location_of
from pointsman.config.problems import Findings
from pointsman.config.schema import VirtualKeySettings
from pointsman.config.source import Source
from pointsman.domain.identity import KeyTable, VirtualKey
from pointsman.domain.limits import Limit

MAX_BYTES = 1024 * 1024 * 1024
MAX_TOLD = 20
MAX_COMPILED = 20_000  # keys that were used lately

_LINE = msgspec.json.Decoder(dict[str, Raw])
_NAME = re.compile(rb'"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"')
_VALUE = re.compile(rb'"sha256:([0-9a-fA-F]{64})"')
_PLACE = ("governance", "virtual_keys", "name")

CompileKey = Callable[[str, bytes, VirtualKeySettings, Findings], VirtualKey]


class KeysFileError(Exception):
    """What is wrong with a file of keys, a message for each line, and how many more there are."""

    def __init__(self, problems: list[str], more: int) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.more = more


def read_keys(path: Path, names: Collection[str], digests: Collection[bytes], compile_key: CompileKey) -> KeyDirectory:
    """Read and check a file. `names` and `digests` are taken already. Raises `KeysFileError` and `OSError`."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise KeysFileError([f"has {size} bytes; at most {MAX_BYTES} are read"], 0)
    reading = _Reading(names, digests, compile_key)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                reading.take(number, line)
    if reading.problems:
        raise KeysFileError(reading.problems[:MAX_TOLD], max(0, len(reading.problems) - MAX_TOLD))
    return KeyDirectory(pack(reading.entries, list(reading.policies)))


class _Reading:
    def __init__(self, names: Collection[str], digests: Collection[bytes], compile_key: CompileKey) -> None:
        self.entries: list[Entry] = []
        self.policies: dict[bytes, int] = {}
        self.problems: list[str] = []
        self._taken_names, self._taken_digests = names, digests
        self._names: dict[str, int] = {}  # on which line
        self._digests: dict[bytes, int] = {}
        self._compile_key = compile_key
        self._encode = msgspec.json.Encoder().encode

    def take(self, number: int, line: bytes) -> None:
        try:
            fields = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._problem(number, f"not a JSON object on one line: {error}")
            return
        name = _NAME.fullmatch(bytes(fields.pop("name", b"")))
        value = _VALUE.fullmatch(bytes(fields.pop("value", b"")))
        previous = fields.pop("previous_value", None)
        older = _VALUE.fullmatch(bytes(previous)) if previous is not None else None
        if name is None or value is None or (previous is not None and older is None):
            self._problem(number, _form(name is None, "previous_value" if value is not None else "value"))
            return
        text, digests = name[0][1:-1].decode(), [bytes.fromhex(one[1].decode()) for one in (older, value) if one]
        if text in self._names or text in self._taken_names:
            self._problem(number, f"name: {text!r} stands {_where(self._names.get(text))} already")
            return
        for digest in digests:  # the newer one last: by its name a key is found as that one
            if digest in self._digests or digest in self._taken_digests:
                self._problem(number, f"value: the same key stands {_where(self._digests.get(digest))} already")
                continue
            self._names[text] = self._digests[digest] = number
            self.entries.append(Entry(text, digest, self._policy(number, text, digest, fields)))

    def _policy(self, number: int, name: str, digest: bytes, fields: dict[str, Raw]) -> int:
        policy = self._encode(fields)
        found = self.policies.get(policy)
        if found is None:
            found = self.policies[policy] = len(self.policies)
            for message in _check(name, digest, policy, self._compile_key):
                self._problem(number, message)
        return found

    def _problem(self, number: int, message: str) -> None:
        self.problems.append(f"line {number}: {message}")


def _form(is_name: bool, field: str) -> str:
    if is_name:
        return "name: is needed: 1 to 64 letters, digits, dots, dashes and underscores"
    return f"{field}: is needed: `sha256:` and the digest of the key, 64 hexadecimal digits"


def _where(line: int | None) -> str:
    return f"on line {line}" if line is not None else "in the configuration file"


def _settings(digest: bytes, policy: bytes) -> VirtualKeySettings:
    data: dict[str, Any] = msgspec.json.decode(policy)
    return VirtualKeySettings.model_validate({**data, "value": f"sha256:{digest.hex()}"})


def _check(name: str, digest: bytes, policy: bytes, compile_key: CompileKey) -> Iterator[str]:
    """What is wrong with a policy; warnings and notes are left unsaid."""
    try:
        settings = _settings(digest, policy)
    except msgspec.DecodeError as error:
        yield f"not a JSON object on one line: {error}"
        return
    except ValidationError as error:
        for item in error.errors(include_url=False):
            place = location_of(item)
            yield f"{'.'.join(map(str, place))}: {explain((*_PLACE, *place), item)}"
        return
    findings = Findings(Source({}, {}))
    compile_key(name, digest, settings, findings)
    if findings.has_errors:
        yield from (str(problem) for problem in findings.in_order() if problem.severity.value == "error")


class FileKeys(KeyTable):
    """The keys of the configuration file, `own`, and those of a directory, which are compiled when they are used."""

    def __init__(self, own: Mapping[bytes, VirtualKey], directory: KeyDirectory, compile_key: CompileKey) -> None:
        self.directory = directory
        self._own = own
        self._compile_key = compile_key
        self._compiled: dict[bytes, VirtualKey] = {}
        self._policies: dict[int, VirtualKeySettings] = {}
        of_entries = [limit for key in own.values() for entry in key.entries.values() for limit in entry.limits]
        of_keys = [limit for key in own.values() for limit in key.limits]
        self._own_limits = {limit.counter: limit for limit in (*of_keys, *of_entries)}

    def get(self, digest: bytes, default: VirtualKey | None = None) -> VirtualKey | None:  # type: ignore[override]
        """The key with this digest."""
        found = self._own.get(digest) or self._compiled.get(digest)
        if found is None:
            entry = self.directory.find(digest)
            if entry is None:
                return default
            found = self._compile(entry)
            if len(self._compiled) >= MAX_COMPILED:
                self._compiled.pop(next(iter(self._compiled)), None)
            self._compiled[digest] = found
        return found

    def named(self, name: str) -> VirtualKey | None:
        for key in self._own.values():
            if key.name == name:
                return key
        entry = self.directory.named(name)
        return self.get(entry.digest) if entry is not None else None

    def limit(self, counter: str) -> Limit | None:
        """A limit of a key, or of its use of one provider, by the name of its counter."""
        if counter in self._own_limits:
            return self._own_limits[counter]
        level, _, owner = counter.partition("|")[0].partition(":")
        name, _, provider = owner.partition("/")
        entry = self.directory.named(name) if level in ("virtual_key", "entry") else None
        if entry is None:
            return None
        key = self._compiled.get(entry.digest) or self._compile(entry)
        limits = (
            key.limits if level == "virtual_key" else key.entries[provider].limits if provider in key.entries else ()
        )
        return next((limit for limit in limits if limit.counter == counter), None)

    def __getitem__(self, digest: bytes) -> VirtualKey:
        found = self.get(digest)
        if found is None:
            raise KeyError(digest.hex())
        return found

    def __iter__(self) -> Iterator[bytes]:
        yield from self._own
        for entry in self.directory:
            yield entry.digest

    def __len__(self) -> int:
        return len(self._own) + len(self.directory)

    def _compile(self, entry: Entry) -> VirtualKey:
        settings = self._policies.get(entry.policy)
        if settings is None:
            if len(self._policies) >= MAX_COMPILED:
                self._policies.pop(next(iter(self._policies)), None)
            settings = self._policies[entry.policy] = _settings(entry.digest, self.directory.policies[entry.policy])
        return self._compile_key(entry.name, entry.digest, settings, Findings(Source({}, {})))
