"""Compiles a document into a snapshot, or returns all its errors. Reads secrets, and sends nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.catalog import CatalogInUse, files_of, read_catalog
from pointsman.config.console import compile_console
from pointsman.config.key_directory import KeyDirectory
from pointsman.config.load import Loaded, load
from pointsman.config.overlay import overlay_path, with_overlay
from pointsman.config.overrides import overridden
from pointsman.config.problems import Findings, Problem, in_order
from pointsman.config.process import compile_settings
from pointsman.config.references import References
from pointsman.config.resource import Resource
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


def compile_file(
    path: Path, environ: Mapping[str, str], resources: Sequence[Resource] = (), *, reads_secrets: bool = True
) -> Checked:
    """Read and compile a configuration file, with the resources that were made by API. Faulty content or a missing file
    raises nothing."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Checked(None, (Problem("", f"{path} cannot be read: {error.strerror}"),))
    loaded = load(content, resources)
    return compile_document(loaded, path.absolute().parent, environ, reads_secrets=reads_secrets)


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
    master_key = references.path(document.master_key.removeprefix("file:")) if document.master_key is not None else ""
    if settings is not None:
        references.use_master_keys(settings.data_dir, master_key)
    listen, data_dir = (settings.listen, settings.data_dir) if settings is not None else (None, None)
    in_use, overlay = catalog, None
    if in_use is None:
        configured = folder / document.catalog.overlay if document.catalog.overlay is not None else None
        overlay = overlay_path(data_dir, configured) if data_dir is not None else None
        in_use = with_overlay(read_catalog(data_dir), overlay, document, findings)
    if in_use.problem is not None:
        findings.warning(("data_dir",), in_use.problem)
    telemetry = compile_telemetry(document, references, findings)  # before the digest, which covers its secrets
    snapshot, governed = compile_snapshot(
        document, in_use, references, findings, listen=listen, data_dir=data_dir, directory=directory
    )
    if not document.providers:
        message = "there is no provider, so every request is rejected until the admin API makes one; add one, such as"
        findings.warning(("providers",), f"{message} `openai: env.OPENAI_API_KEY`, or `pointsman providers create`")
    check_providers(in_use, snapshot, findings)
    console = compile_console(document, references, findings)
    snapshot = replace(snapshot, tracing=telemetry.tracing, bodies=telemetry.bodies)
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
        resources=loaded.resources,
        master_key=master_key,
        templates=governed.templates,
    )
    return Checked(compiled, problems, secret_files)
