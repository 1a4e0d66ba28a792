"""Compiles a document into a snapshot, or returns all its errors. Reads secrets, and sends nothing."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.catalog import CatalogInUse, files_of, read_catalog
from pointsman.config.console import compile_console
from pointsman.config.key_directory import KeyDirectory
from pointsman.config.load import Loaded, load
from pointsman.config.overlay import OverlayError, lay_over, overlay_path, parse_overlay, read_overlay
from pointsman.config.overrides import overridden
from pointsman.config.problems import Findings, Problem, in_order
from pointsman.config.process import compile_settings
from pointsman.config.references import References
from pointsman.config.schema import Document
from pointsman.config.snapshot_file import Compiled
from pointsman.config.snapshots import compile_snapshot
from pointsman.config.telemetry import compile_telemetry
from pointsman.config.then_targets import check_then
from pointsman.config.unusable import check_providers, warn_unusable


class Checked(Struct, frozen=True):
    """The outcome: `compiled` is `None` when `problems` has an error. `secret_files` are set in any case."""

    compiled: Compiled | None
    problems: tuple[Problem, ...]
    secret_files: frozenset[Path] = frozenset()


def compile_file(path: Path, environ: Mapping[str, str], *, reads_secrets: bool = True) -> Checked:
    """Read and compile a configuration file. Faulty content or a missing file raises nothing."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Checked(None, (Problem("", f"{path} cannot be read: {error.strerror}"),))
    return compile_document(load(content), path.absolute().parent, environ, reads_secrets=reads_secrets)


def compile_document(
    loaded: Loaded,
    folder: Path,
    environ: Mapping[str, str],
    *,
    catalog: CatalogInUse | None = None,
    directory: KeyDirectory | None = None,
    reads_secrets: bool = True,
) -> Checked:
    """Compile a document. Its relative paths start at `folder`. `catalog` replaces the catalogs of the package and the
    data folder, and `directory` replaces the file of keys. Unless it `reads_secrets`, placeholders replace all secrets:
    the outcome can be inspected but not served. A document that lost faulty fields is compiled too, to find its other
    errors."""
    document = loaded.document
    if document is None:
        return Checked(None, loaded.problems)
    findings = Findings(loaded.source)
    references = References(environ, folder, reads_secrets=reads_secrets)
    document = overridden(document, environ, findings)
    settings = compile_settings(document, folder, references, findings)
    listen, data_dir = (settings.listen, settings.data_dir) if settings is not None else (None, None)
    in_use, overlay = catalog, None
    if in_use is None:
        configured = folder / document.catalog.overlay if document.catalog.overlay is not None else None
        overlay = overlay_path(data_dir, configured) if data_dir is not None else None
        in_use = _with_overlay(read_catalog(data_dir), overlay, document, findings)
    if in_use.problem is not None:
        findings.warning(("data_dir",), in_use.problem)
    snapshot, governed = compile_snapshot(document, in_use, references, findings, listen=listen, directory=directory)
    check_providers(in_use, snapshot, findings)
    telemetry = compile_telemetry(document, references, findings)
    console = compile_console(document, findings)
    snapshot = replace(snapshot, tracing=telemetry.tracing)
    warn_unusable(snapshot, governed.own, findings)
    check_then(document, snapshot, governed.falling, findings)
    findings.forget(loaded.lost)
    problems = in_order((*loaded.problems, *findings.in_order()))
    secret_files = frozenset(references.files)
    if data_dir is not None:
        secret_files |= files_of(data_dir) | (frozenset({overlay}) if overlay is not None else frozenset())
    if settings is None or loaded.problems or findings.has_errors:
        return Checked(None, problems, secret_files)
    compiled = Compiled(
        snapshot=snapshot,
        settings=settings,
        secret_files=secret_files,
        content=loaded.content,
        folder=folder,
        owners=governed.owners,
        customers=dict(governed.customers),
        overlay=overlay,
        telemetry=telemetry,
        console=console,
    )
    return Checked(compiled, problems, secret_files)


def _with_overlay(in_use: CatalogInUse, path: Path | None, document: Document, findings: Findings) -> CatalogInUse:
    """Return the catalog with the overlay over it, if there is one."""
    place = ("catalog", "overlay")
    try:
        content = read_overlay(path) if path is not None else None
        if content is None or path is None:
            if document.catalog.overlay is not None:
                message = f"{path} does not exist; `pointsman catalog add` creates it"
                findings.warning(place, message)
            return in_use
        catalog = lay_over(in_use.catalog, parse_overlay(content, path), path, document.providers)
    except OverlayError as error:
        for problem in error.problems:
            findings.error(place, problem)
        return in_use
    return replace(
        in_use, catalog=catalog, added=frozenset(catalog.providers()) - frozenset(in_use.catalog.providers())
    )
