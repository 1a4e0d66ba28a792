"""Compiles the policies of virtual keys that were made by API: the code for keys of the file, once for each policy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from pydantic import ValidationError

from pointsman.config.key_directory import as_policy
from pointsman.config.live_keys import LiveKeys
from pointsman.config.load import explain, load, location_of
from pointsman.config.overrides import overridden
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.schema import VirtualKeySettings
from pointsman.config.snapshot_file import Compiled
from pointsman.config.source import Location, Source
from pointsman.config.then_targets import check_then
from pointsman.config.virtual_keys import KeyCompiler
from pointsman.domain.identity import KeysUnavailableError, VirtualKey

PLACE = ("governance", "virtual_keys")
_NAME = (*PLACE, "name")
_VALUE = "sha256:" + "0" * 64
# The settings of a key that are not its policy. The store has a column for each.
APART = ("value", "previous_value", "expires_at")


class FieldProblem(Struct, frozen=True):
    """A fault in the settings of a key, and the path of its field."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def read_policy(settings: Mapping[str, Any]) -> tuple[str, list[FieldProblem]]:
    """Return the settings of a policy as text, the same for equal settings, and their faults of form."""
    own = [FieldProblem(name, "is set apart from the policy; remove it") for name in APART if name in settings]
    text = msgspec.json.encode(settings, order="sorted").decode()
    _, found = _checked(settings)
    return text, own + found


def compile_policy(compiler: KeyCompiler, settings: str) -> tuple[VirtualKey, list[FieldProblem]]:
    """Compile a policy. It is usable if there are no problems. The compiler has compiled its teams and customers."""
    checked, found = _checked(msgspec.json.decode(settings))
    if checked is None:
        return VirtualKey(name="", digest=b""), found
    findings = Findings(Source({}, {}))
    key = as_policy(compiler.compile_one("", b"", checked, findings))
    return key, _problems_in(findings)


def compile_policies(
    compiler: KeyCompiler, live: LiveKeys, wanted: Mapping[int, str], findings: Findings
) -> dict[int, VirtualKey]:
    """Compile policies by their numbers. The problems name some of their keys."""
    made: dict[int, VirtualKey] = {}
    for number, settings in wanted.items():
        made[number], problems = compile_policy(compiler, settings)
        if problems:
            names = ", ".join(live.users_of(number))
            told = "; ".join(f"{one.field}: {one.message}" for one in problems)
            findings.error(PLACE, f"keys that were made by API, such as {names}: {told}; change or delete these keys")
    return made


class PolicyCompiler:
    """Compiles policies for one configuration: its document, with the resources made by API. Making it takes as
    long as reading the document. Raises `KeysUnavailableError`."""

    def __init__(self, compiled: Compiled, environ: Mapping[str, str]) -> None:
        findings, snapshot = Findings(Source({}, {})), compiled.snapshot
        self._loaded = load(compiled.content, compiled.resources)
        document = self._loaded.document
        if document is None:
            raise KeysUnavailableError("the configuration in force cannot be read again")
        self._document = overridden(document, environ, findings)
        self._compiler = KeyCompiler(self._document, References(environ, compiled.folder), findings)
        self._compiler.compile_owners()
        self._snapshot = snapshot
        self.digest = snapshot.digest

    def compile(self, settings: str) -> tuple[VirtualKey, list[FieldProblem]]:
        """Compile a policy. It is usable if there are no problems."""
        self._compiler.falling.clear()
        key, problems = compile_policy(self._compiler, settings)
        if self._compiler.falling:
            findings = Findings(Source({}, {}))
            check_then(self._document, self._snapshot, self._compiler.falling, findings)
            problems += [FieldProblem("budgets", one.message) for one in findings.errors()]
        return key, problems

    def users_of(self, name: str) -> list[str]:
        """Return the places that name a key: rules and prices, as a path with its line, or as a resource."""
        source, found = self._loaded.source, list[Location]()
        rules, prices = self._document.routing.rules, self._document.pricing.overrides
        found += [("routing", "rules", at) for at, one in enumerate(rules) if one.scope == f"virtual_key:{name}"]
        found += [("pricing", "overrides", at) for at, one in enumerate(prices) if one.virtual_key == name]
        return [source.owner(place) or _in_file(*source.place(place)) for place in found]


def _in_file(path: str, line: int | None) -> str:
    return f"{path} of the configuration file" + (f", line {line}" if line is not None else "")


def moment(unix_s: float) -> str:
    """Format a time for a message."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%SZ}"


def _checked(settings: Mapping[str, Any]) -> tuple[VirtualKeySettings | None, list[FieldProblem]]:
    own = {name: value for name, value in settings.items() if name not in APART}
    try:
        return VirtualKeySettings.model_validate({**own, "value": _VALUE}), []
    except ValidationError as error:
        findings = Findings(Source({}, {}))
        for item in error.errors(include_url=False):
            place = location_of(item)
            findings.error(place, explain((*_NAME, *place), item))
    return None, _problems_in(findings)


def _problems_in(findings: Findings) -> list[FieldProblem]:
    return [FieldProblem(one.path, one.message) for one in findings.errors()]
