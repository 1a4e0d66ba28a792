"""Reads the overlay of the catalog for commands that show the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pointsman.cli._terminal import print_line

if TYPE_CHECKING:
    from pathlib import Path

    from pointsman.catalog.reader import ModelCatalog


def over(catalog: ModelCatalog, config: Path | None, data_dir: Path) -> ModelCatalog:
    """Return the catalog with the overlay of a configuration, or with that of the data folder. Ends the process with
    status 1 if it is faulty."""
    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.config.overlay import OverlayError, lay_over, overlay_path, parse_overlay, read_overlay

    compiled = compiled_or_exit(config, reads_secrets=False) if config is not None else None
    path = compiled.overlay if compiled is not None and compiled.overlay is not None else overlay_path(data_dir, None)
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
