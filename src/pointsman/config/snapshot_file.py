"""The snapshot file: the configuration that control accepted last. Workers start from it, and change to a new one.

The file has a checksum, the compiled configuration as frozen structs, and the document they were compiled from. It has
digests of virtual keys, but no secrets. It keeps the document's references, `env.NAME` and `file:PATH`, and each reader
resolves them again. A directory of further keys is a separate file beside it. Its name contains its digest, and all
processes open it.

The compiled part is valid for the version that wrote it, with the same catalog and secrets. In any other case the
document is compiled again, see `kept`.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman import __version__
from pointsman.catalog.overlay import overlaid
from pointsman.catalog.reader import CatalogError, ModelCatalog
from pointsman.config.catalog import packaged, read_catalog
from pointsman.config.frozen import FrozenError, freeze, thaw
from pointsman.config.key_directory import DirectoryError, KeyDirectory
from pointsman.config.key_table import FileKeys
from pointsman.config.live_keys import open_live
from pointsman.config.references import BadReference, References
from pointsman.config.resource import Resource
from pointsman.config.settings import Console, Settings, Telemetry
from pointsman.config.whole_file import write_whole
from pointsman.domain.identity import AccessTemplate
from pointsman.domain.origin import Secret
from pointsman.domain.snapshots import Snapshot

FORMAT = 2  # format 1 had only the document
_MAGIC = b"PMSNAP\r\n"


class SnapshotError(ValueError):
    """A snapshot that cannot be used. The message names it and the reason."""


class OutdatedError(SnapshotError):
    """A snapshot with a document that has to be compiled again."""


class Compiled(Struct, frozen=True, kw_only=True):
    """A configuration ready for use. `secret_files` are the files its secrets and further keys were read from, and
    those of the data folder that change its catalog. `owners` are teams and customers, such as `team:research`, and
    `customers` the customers of teams, by team. `content` is the document, and `folder` is where its relative paths
    start.
    `overlay` is the file of the catalog's overlay, which need not exist. `resources` were made by API, and merged into
    the document. `master_key` is the path of the configured file of master keys, if there is one. `templates` are those
    of members' keys."""

    snapshot: Snapshot
    settings: Settings
    secret_files: frozenset[Path]
    content: bytes
    folder: Path
    owners: frozenset[str] = frozenset()
    customers: dict[str, str] = {}
    overlay: Path | None = None
    telemetry: Telemetry = Telemetry()
    console: Console = Console()
    resources: tuple[Resource, ...] = ()
    master_key: str = ""
    templates: tuple[AccessTemplate, ...] = ()


class Accepted(Struct, frozen=True, kw_only=True):
    """A document that compiled, with the `folder` its relative paths start at. `keys` is the digest of the directory of
    keys. `secrets` identifies the secrets that `compiled` names. `layers` lie over its
    catalog, so that a process needs no file of them. `resources` and `master_key` are those of `Compiled`."""

    content: bytes
    folder: str
    data_dir: str = ""
    keys: str | None = None
    version: str = ""
    secrets: str = ""
    layers: tuple[bytes, ...] = ()
    compiled: bytes = b""
    resources: tuple[Resource, ...] = ()
    master_key: str = ""


def write_snapshot(path: Path, compiled: Compiled) -> None:
    """Write the snapshot, whole or not at all. Raises `OSError`."""
    snapshot, table, keys = compiled.snapshot, compiled.snapshot.virtual_keys, None
    if isinstance(table, FileKeys):  # the keys made by API are in a file of their own
        snapshot, keys = replace(snapshot, virtual_keys=table.own), table.directory
    data, secrets = freeze(replace(compiled, snapshot=snapshot, content=b"", resources=()))
    accepted = Accepted(
        content=compiled.content,
        folder=str(compiled.folder),
        data_dir=str(compiled.settings.data_dir),
        keys=keys.digest if keys is not None else None,
        version=__version__,
        secrets=_identify(secrets),
        layers=_layers(compiled),
        compiled=data,
        resources=compiled.resources,
        master_key=compiled.master_key,
    )
    directory = _directory(path, accepted)
    if keys is not None and directory is not None and not directory.exists():
        write_whole(directory, keys.data)
    body = msgspec.msgpack.encode(accepted)
    write_whole(path, _MAGIC + FORMAT.to_bytes(4, "little") + sha256(body).digest() + body)
    for old in path.parent.glob(f"{path.name}-keys-*"):  # processes that have it open keep it until they close it
        if old != directory:
            old.unlink(missing_ok=True)


def read_snapshot(path: Path, environ: Mapping[str, str]) -> Compiled:
    """Read a snapshot. Raises `SnapshotError`, `OutdatedError` if its document has to be compiled again,
    `KeysUnavailableError`, and `OSError` if there is no file."""
    accepted = read_accepted(path)
    if accepted.version != __version__:
        raise OutdatedError(f"{path} was written by another version{accepted.version and f', {accepted.version}'}")
    references = References(environ, Path(accepted.folder))
    references.use_master_keys(Path(accepted.data_dir), accepted.master_key)
    found: dict[str, Secret] = {}

    def find(kind: str, name: str) -> object:
        if kind == "secret":
            return found.setdefault(name, references.restore(name))
        return _catalog(name, Path(accepted.data_dir), accepted.layers)

    try:
        compiled: Compiled = thaw(accepted.compiled, find)
    except (BadReference, CatalogError, FrozenError) as error:
        raise OutdatedError(f"{path} has to be compiled again: {error}") from None
    if _identify(found) != accepted.secrets:
        raise OutdatedError(f"{path} was written with other secrets")
    keys, live, snapshot = read_keys(path, accepted), open_live(compiled.settings.data_dir), compiled.snapshot
    if keys is not None or live is not None or snapshot.identities:
        table = FileKeys(snapshot.virtual_keys, keys, snapshot.shared_limits, live, identities=snapshot.identities).at(
            snapshot.digest
        )
        snapshot = replace(snapshot, virtual_keys=table)
    return replace(compiled, snapshot=snapshot, content=accepted.content, resources=accepted.resources)


def _layers(compiled: Compiled) -> tuple[bytes, ...]:
    catalog = compiled.snapshot.pricing.catalog
    return catalog.layers if isinstance(catalog, ModelCatalog) else ()


def _catalog(digest: str, data_dir: Path, layers: tuple[bytes, ...]) -> ModelCatalog:
    catalog = overlaid(packaged(), layers)
    if catalog.digest != digest:
        catalog = overlaid(read_catalog(data_dir).catalog, layers)
    if catalog.digest != digest:
        raise OutdatedError("the catalog that it was compiled with is no longer installed")
    return catalog


def read_keys(path: Path, accepted: Accepted) -> KeyDirectory | None:
    """Return the directory of further keys, if there is one. Raises `SnapshotError` and `OSError`."""
    directory = _directory(path, accepted)
    if directory is None or accepted.keys is None:
        return None
    try:
        return KeyDirectory.open(directory, accepted.keys)
    except DirectoryError as error:
        raise SnapshotError(str(error)) from None


def _directory(path: Path, accepted: Accepted) -> Path | None:
    return path.with_name(f"{path.name}-keys-{accepted.keys[:32]}") if accepted.keys is not None else None


def _identify(secrets: Mapping[str, Secret]) -> str:
    """Return a digest that changes with the secrets and reveals none."""
    each = sorted((name, sha256(one.reveal().encode()).hexdigest()) for name, one in secrets.items())
    return sha256(json.dumps(each).encode()).hexdigest()


def read_accepted(path: Path) -> Accepted:
    """Read a snapshot as it was accepted. Raises `SnapshotError`, and `OSError` if there is no file."""
    data = path.read_bytes()
    head = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC:
        raise SnapshotError(f"{path} is not a snapshot")
    version = int.from_bytes(data[len(_MAGIC) : head], "little")
    if not 1 <= version <= FORMAT:
        raise SnapshotError(f"{path} has format {version}; this version reads formats 1 to {FORMAT}")
    body = data[head + 32 :]
    if sha256(body).digest() != data[head : head + 32]:
        raise SnapshotError(f"{path} is damaged")
    try:
        return msgspec.msgpack.decode(body, type=Accepted)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{path} is damaged: {error}") from None
