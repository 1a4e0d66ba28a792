"""Compiles `governance` into the table of virtual keys: those of the document, and those of a file of further keys."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from time import time

from msgspec import Struct

from pointsman.config.addresses import ListenAddress
from pointsman.config.identities import compile_identities
from pointsman.config.key_directory import KeyDirectory
from pointsman.config.key_table import FileKeys
from pointsman.config.keys_file import KeysFileError, read_keys
from pointsman.config.live_keys import LiveKeys, open_live
from pointsman.config.live_policies import PLACE, compile_policies
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.schema import Document
from pointsman.config.source import Location
from pointsman.config.virtual_keys import KeyCompiler, check_access, compile_key_headers
from pointsman.domain.callers import CallerIdentity
from pointsman.domain.identity import AccessTemplate, EndUserLimits, KeysUnavailableError, VirtualKey
from pointsman.domain.limits import Limit


class Governed(Struct, frozen=True, kw_only=True):
    """The compiled keys. `own` are those of the document, and `keys` are all. `owners` are teams and customers, such as
    `team:research`. `customers` are the customers of teams, by team. `shared_limits` are those of owners. `falling` are
    keys with a limit that falls to another model, each with its place. `templates` are those of members' keys."""

    own: Mapping[bytes, VirtualKey]
    keys: Mapping[bytes, VirtualKey]
    key_headers: tuple[str, ...]
    owners: frozenset[str]
    customers: Mapping[str, str] = {}
    directory: KeyDirectory | None = None
    shared_limits: tuple[Limit, ...] = ()
    end_user_limits: tuple[EndUserLimits, ...] = ()
    falling: Sequence[tuple[Location, VirtualKey]] = ()
    templates: tuple[AccessTemplate, ...] = ()
    identities: tuple[CallerIdentity, ...] = ()

    def keys_at(self, digest: str) -> Mapping[bytes, VirtualKey]:
        """Return all keys, as those of the configuration with this digest."""
        return self.keys.at(digest) if isinstance(self.keys, FileKeys) else self.keys

    @property
    def headers(self) -> list[str]:
        """The headers that name end users."""
        return [one.header for one in self.end_user_limits if one.header]


def compile_governance(
    document: Document,
    references: References,
    findings: Findings,
    directory: KeyDirectory | None,
    listen: ListenAddress | None,
    *,
    data_dir: Path | None = None,
) -> Governed:
    """Compile keys, teams and customers. `directory` replaces the file of keys. `data_dir`
    may have keys made by API."""
    live = open_live(data_dir) if data_dir is not None else None
    governance = document.governance
    compiler = KeyCompiler(document, references, findings)
    own = compiler.compile_all(time())
    identities = compile_identities(document, compiler, references, findings)
    compiler.note_unused()
    check_access(governance, listen, findings)
    named = frozenset([*governance.virtual_keys, *governance.identities])
    taken = _names_of(live, named, findings)
    if governance.keys_file is None:
        directory = None
    elif directory is None:
        path = Path(references.path(governance.keys_file))
        references.files.add(path)
        directory = _read_keys(path, taken | named, own, compiler, findings)
    shared = compiler.shared_limits()
    keys: Mapping[bytes, VirtualKey] = own
    if directory is not None or live is not None or identities:
        policies = compile_policies(compiler, live, live.settings(), findings) if live is not None and taken else {}
        keys = FileKeys(own, directory, shared, live, policies, identities=identities)
    teams = [f"team:{name}" for name in governance.teams]
    return Governed(
        own=own,
        keys=keys,
        key_headers=compile_key_headers(governance, findings),
        owners=frozenset([*teams, *(f"customer:{name}" for name in governance.customers)]),
        customers={name: team.customer for name, team in governance.teams.items() if team.customer is not None},
        directory=directory,
        shared_limits=shared,
        end_user_limits=compiler.end_user_limits(),
        falling=compiler.falling,
        templates=tuple(
            AccessTemplate(
                name=name,
                team=one.team,
                customer=governance.teams[one.team].customer if one.team in governance.teams else None,
                at_most=one.at_most,
                longest_s=one.longest_s,
            )
            for name, one in governance.access_templates.items()
        ),
        identities=identities,
    )


def _names_of(live: LiveKeys | None, own: Collection[str], findings: Findings) -> frozenset[str]:
    """Return the names of the keys made by API. A key of the document with such a name is reported."""
    try:
        names = live.names() if live is not None else frozenset()
    except KeysUnavailableError as error:  # control makes the file anew
        findings.warning(PLACE, str(error))
        return frozenset()
    for name in own:
        if name in names:
            message = "is also the name of a key that was made by API (`pointsman keys show` has it); choose another"
            findings.error((*PLACE, name), message)
    return names


def _read_keys(
    path: Path, names: Collection[str], own: Mapping[bytes, VirtualKey], compiler: KeyCompiler, findings: Findings
) -> KeyDirectory | None:
    """Read a file of further keys. Return `None` if it has errors, which are then among the findings."""
    place = ("governance", "keys_file")
    try:
        return read_keys(path, names, own, compiler.compile_one)
    except OSError as error:
        findings.error(place, f"{path} cannot be read: {error.strerror}")
    except KeysFileError as error:
        for problem in error.problems:
            findings.error(place, problem)
        if error.more:
            findings.error(place, f"{error.more} more errors in this file are not shown")
    return None
