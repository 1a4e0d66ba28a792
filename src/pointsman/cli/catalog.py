"""Installs a newer model catalog without a release, or removes it again."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pointsman.cli._terminal import print_line

MAX_CHECKSUM_BYTES = 4096

_HELP = {
    "action": "`update`, `revert` to the previous catalog, or `show` the one in force.",
    "source": "With `update`: the file or https address of a catalog. Its checksum is read from the same place, "
    "with `.sha256` appended to the name, unless --sha256 sets it.",
    "sha256": "The expected SHA-256 of the catalog, in hexadecimal.",
    "config": "The configuration file, which names the data folder.",
    "data_dir": "The data folder. Default: the one in the configuration file, or that of a gateway without a file.",
}


class Action(Enum):
    """The actions of the command."""

    UPDATE = "update"
    REVERT = "revert"
    SHOW = "show"


def command(
    action: Annotated[Action, typer.Argument(help=_HELP["action"])] = Action.SHOW,
    source: Annotated[str | None, typer.Option("--from", help=_HELP["source"])] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help=_HELP["sha256"])] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_HELP["config"])] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help=_HELP["data_dir"])] = None,
) -> None:
    """Update the model catalog from a file or an address, or revert to the previous one.

    A catalog is accepted whole or not at all. The checksum must match, every entry must be readable, and the catalog
    must not be older than the one in force. A running gateway loads it within seconds, or at SIGHUP if it has no
    configuration file.
    """
    from pointsman.catalog.reader import CatalogError
    from pointsman.config.catalog import install, read_catalog, revert

    if (action is Action.UPDATE) != (source is not None):
        raise typer.BadParameter("required with `update`, and only valid there", param_hint="--from")
    folder = data_dir or _data_dir(config)
    try:
        if source is not None:
            content = _read(source)
            _check(content, sha256 or _published_checksum(source), source)
            catalog = install(folder, content)
        elif action is Action.REVERT:
            catalog = revert(folder)
        else:
            installed = read_catalog(folder)
            catalog = installed.catalog
            if installed.problem is not None:
                print_line(installed.problem, err=True)
    except CatalogError as error:
        raise _failed(f"cannot install {source}: {error}") from None
    except FileNotFoundError:
        missing = "file" if source is not None else "catalog to revert"
        raise _failed(f"{source or folder}: no such {missing}") from None
    except OSError as error:
        raise _failed(f"{source or folder}: {error.strerror or error}") from None
    names = sum(1 for _ in catalog.canonical_names())
    print_line(f"in force: the catalog of {catalog.date} with {names} models, sha256 {catalog.digest}")


def _data_dir(config: Path | None) -> Path:
    """Return the data folder of the gateway, without reading a secret."""
    import os

    from pointsman.cli._configuration import compiled_or_exit
    from pointsman.config.overrides import default_data_dir

    if config is None:
        return default_data_dir(os.environ)
    return compiled_or_exit(config, reads_secrets=False).settings.data_dir


def _read(source: str, limit: int | None = None) -> bytes:
    """Return the content of a path or an address. Raise `OSError`."""
    from urllib.parse import urlsplit
    from urllib.request import urlopen

    from pointsman.config.catalog import MAX_BYTES
    from pointsman.domain.network import is_loopback

    max_bytes = limit or MAX_BYTES
    if "://" not in source:
        with Path(source).open("rb") as file:
            content = file.read(max_bytes + 1)
    else:
        parts = urlsplit(source)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise typer.BadParameter("the address must begin with https://", param_hint="--from")
        with urlopen(source, timeout=60) as answer:  # noqa: S310 -- the scheme was checked
            content = answer.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(f"it is larger than {max_bytes} bytes")
    return bytes(content)


def _published_checksum(source: str) -> str:
    """Return the checksum from the source's `.sha256` file. It is the first word, as `sha256sum` writes it."""
    try:
        return _read(f"{source}.sha256", MAX_CHECKSUM_BYTES).decode("ascii", "replace").split()[0]
    except (OSError, IndexError):
        raise _failed(f"cannot read {source}.sha256; set the checksum with --sha256") from None


def _check(content: bytes, expected: str, source: str) -> None:
    from hashlib import sha256

    found = sha256(content).hexdigest()
    if found != expected.strip().lower():
        raise _failed(f"cannot install {source}: its SHA-256 is {found}, not {expected}")


def _failed(message: str) -> typer.Exit:
    print_line(message, err=True)
    return typer.Exit(1)
