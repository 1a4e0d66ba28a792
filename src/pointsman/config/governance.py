"""Compiles `governance` into the table of virtual keys: those of the document, and those of a file of further keys."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from time import time

from msgspec import Struct

from pointsman.config.addresses import ListenAddress
from pointsman.config.key_directory import FileKeys, KeyDirectory
from pointsman.config.keys_file import KeysFileError, read_keys
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.schema import Document
from pointsman.config.source import Location
from pointsman.config.virtual_keys import KeyCompiler, check_access, compile_key_headers
from pointsman.domain.identity import EndUserLimits, VirtualKey
from pointsman.domain.limits import Limit


class Governed(Struct, frozen=True, kw_only=True):
    """The compiled keys. `own` are those of the document, and `keys` are all. `owners` are teams and customers, such as
    `team:research`. `customers` are the customers of teams, by team. `shared_limits` are those of owners, if there is a
    file of further keys. `falling` are keys with a limit that falls to another model, each with its place."""

    own: Mapping[bytes, VirtualKey]
    keys: Mapping[bytes, VirtualKey]
    key_headers: tuple[str, ...]
    owners: frozenset[str]
    customers: Mapping[str, str] = {}
    directory: KeyDirectory | None = None
    shared_limits: tuple[Limit, ...] = ()
    end_user_limits: tuple[EndUserLimits, ...] = ()
    falling: Sequence[tuple[Location, VirtualKey]] = ()

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
) -> Governed:
    """Compile keys, teams and customers. `directory` replaces the file of keys."""
    governance = document.governance
    compiler = KeyCompiler(document, references, findings)
    own = compiler.compile_all(time())
    check_access(governance, listen, findings)
    if governance.keys_file is None:
        directory = None
    elif directory is None:
        path = Path(references.path(governance.keys_file))
        references.files.add(path)
        directory = _read_keys(path, governance.virtual_keys, own, compiler, findings)
    shared = compiler.shared_limits() if directory is not None else ()
    teams = [f"team:{name}" for name in governance.teams]
    return Governed(
        own=own,
        keys=FileKeys(own, directory, shared) if directory is not None else own,
        key_headers=compile_key_headers(governance, findings),
        owners=frozenset([*teams, *(f"customer:{name}" for name in governance.customers)]),
        customers={name: team.customer for name, team in governance.teams.items() if team.customer is not None},
        directory=directory,
        shared_limits=shared,
        end_user_limits=compiler.end_user_limits(),
        falling=compiler.falling,
    )


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
