"""The configuration in force on disk: what control accepted last, for workers to start from and to swap to.

It is the accepted document itself, with the folder its relative paths start at, behind a checksum. So it holds secrets
only as the references `env.NAME` and `file:PATH` that the document has, and digests of virtual keys; whoever reads it
resolves the references again. Where there is a directory of further keys it is a file of its own beside it, named by
its digest, which all processes map.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.catalog import packaged
from pointsman.config.compile import INSTALLED, Compiled, compile_document
from pointsman.config.key_directory import DirectoryError, KeyDirectory
from pointsman.config.load import load
from pointsman.config.whole_file import write_whole

FORMAT = 1
_MAGIC = b"PMSNAP\r\n"


class SnapshotError(ValueError):
    """A snapshot that cannot be used. The message says which and why."""


class Accepted(Struct, frozen=True):
    """A document that compiled. `digest` is that of the compiled snapshot, `keys` the name of the directory of keys."""

    content: bytes
    folder: str
    digest: str
    keys: str | None = None


def write_snapshot(path: Path, accepted: Accepted, keys: KeyDirectory | None = None) -> None:
    """Put it in place, whole or not at all. Raises `OSError`."""
    if keys is not None:
        accepted = replace(accepted, keys=f"{path.name}-keys-{keys.digest[:32]}")
        assert accepted.keys is not None
        file = path.with_name(accepted.keys)
        if not file.exists():
            write_whole(file, keys.data)
    body = msgspec.msgpack.encode(accepted)
    write_whole(path, _MAGIC + FORMAT.to_bytes(4, "little") + sha256(body).digest() + body)
    for old in path.parent.glob(f"{path.name}-keys-*"):  # who has one open keeps it until it lets go
        if old.name != accepted.keys:
            old.unlink(missing_ok=True)


def read_snapshot(path: Path, environ: Mapping[str, str]) -> Compiled:
    """Read and compile it. Raises `SnapshotError`, and `OSError` where there is none."""
    accepted = read_accepted(path)
    keys = None
    if accepted.keys is not None:
        try:
            keys = KeyDirectory.open(path.with_name(accepted.keys))
        except DirectoryError as error:
            raise SnapshotError(str(error)) from None
    loaded, folder = load(accepted.content), Path(accepted.folder)
    checked = compile_document(loaded, folder, environ, directory=keys)
    if checked.compiled is None:
        # It compiled when it was accepted. What has changed since may be the catalog in the data folder.
        checked = compile_document(loaded, folder, environ, replace(INSTALLED, catalog=packaged()), keys)
    if checked.compiled is None:
        said = "; ".join(str(problem) for problem in checked.problems if problem.severity.value == "error")
        raise SnapshotError(f"{path} no longer compiles: {said}")
    return checked.compiled


def read_accepted(path: Path) -> Accepted:
    """Read it as it was accepted. Raises `SnapshotError`, and `OSError` where there is none."""
    data = path.read_bytes()
    head = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC:
        raise SnapshotError(f"{path} is not a snapshot")
    version = int.from_bytes(data[len(_MAGIC) : head], "little")
    if version != FORMAT:
        raise SnapshotError(f"{path} has format {version}, this version reads {FORMAT}")
    body = data[head + 32 :]
    if sha256(body).digest() != data[head : head + 32]:
        raise SnapshotError(f"{path} is damaged")
    try:
        return msgspec.msgpack.decode(body, type=Accepted)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{path} is damaged: {error}") from None
