"""Reads the configuration in a snapshot file, or compiles it again from the document in the file.

The compiler is imported only to compile again, so workers usually load neither it nor its libraries.
"""

from collections.abc import Mapping
from pathlib import Path

from pointsman import __version__
from pointsman.catalog.overlay import overlaid
from pointsman.config.catalog import CatalogInUse, packaged
from pointsman.config.resource import Resource
from pointsman.config.snapshot_file import (
    Compiled,
    OutdatedError,
    SnapshotError,
    read_accepted,
    read_keys,
    read_snapshot,
)


def read_or_compile(path: Path, environ: Mapping[str, str]) -> Compiled:
    """Return the configuration in a snapshot file. Raises `SnapshotError`, and `OSError` if there is no file."""
    try:
        return read_snapshot(path, environ)
    except OutdatedError:
        return compile_again(path, environ)


def compile_again(path: Path, environ: Mapping[str, str]) -> Compiled:
    """Compile the document of a snapshot file with the present catalog and secrets. Raises as above."""
    from pointsman.config.compile import compile_document  # noqa: PLC0415 -- see above
    from pointsman.config.load import load  # noqa: PLC0415

    accepted = read_accepted(path)
    keys = read_keys(path, accepted) if accepted.version == __version__ else None
    loaded, folder = load(accepted.content, accepted.resources), Path(accepted.folder)
    checked = compile_document(loaded, folder, environ, directory=keys)
    if checked.compiled is None:
        # It compiled when it was accepted. Since then the catalog in the data folder or its overlay may have changed.
        in_use = CatalogInUse(overlaid(packaged(), accepted.layers))
        checked = compile_document(loaded, folder, environ, catalog=in_use, directory=keys)
    if checked.compiled is None:
        errors = (str(problem) for problem in checked.problems if problem.severity == "error")
        raise SnapshotError(f"{path} no longer compiles: {'; '.join(errors)}")
    return checked.compiled


def kept_resources(path: Path) -> tuple[Resource, ...]:
    """Return the resources in a snapshot file, or none if it cannot be read: the store has them."""
    try:
        return read_accepted(path).resources
    except (OSError, SnapshotError):
        return ()
