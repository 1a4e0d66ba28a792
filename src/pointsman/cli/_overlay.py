"""Reads the overlay of the catalog for commands that show the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pointsman.cli._terminal import print_line

if TYPE_CHECKING:
    from pathlib import Path

    from pointsman.catalog.reader import ModelCatalog
    from pointsman.config.snapshot_file import Compiled


def over(catalog: ModelCatalog, config: Path | None, data_dir: Path) -> ModelCatalog:
    """Return the catalog with the overlay that a configuration names, or with that of the data folder. Ends the process
    with status 1 if it is faulty."""
    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.config.overlay import OverlayError, lay_over, parse_overlay, read_overlay

    compiled = compiled_or_exit(config, reads_secrets=False) if config is not None else None
    path = file_of(compiled, data_dir)
    try:
        content = read_overlay(path)
        if content is None:
            return catalog
        providers = compiled.snapshot.endpoints if compiled is not None else ()
        return lay_over(catalog, parse_overlay(content, path), path, providers)
    except OverlayError as error:
        for problem in error.problems:
            print_line(problem, err=True)
        raise typer.Exit(1) from None


def file_of(compiled: Compiled | None, data_dir: Path) -> Path:
    """Return the file of the overlay: the one that the configuration names, else that of the data folder."""
    from pointsman.config.overlay import overlay_path

    named = compiled.overlay if compiled is not None else None
    if compiled is None or named is None or named == overlay_path(compiled.settings.data_dir, None):
        return overlay_path(data_dir, None)
    return named
