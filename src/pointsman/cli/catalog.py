"""Shows, compares and changes the model catalog: whole files without a release, and an overlay of single models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli._options import AsJson
from pointsman.cli._terminal import print_json, print_line

if TYPE_CHECKING:
    from decimal import Decimal

    from pointsman.catalog.reader import ModelCatalog

MAX_CHECKSUM_BYTES = 4096
LEAST_USD = "0.001"  # per million tokens: a lower price is one per token

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration file, which names the data folder and the overlay."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The data folder. Default: the one in the configuration file, or that of a gateway without a file.",
    ),
]

_HELP = {
    "source": "The file or https address of a catalog. Its checksum is read from the same place, with `.sha256` "
    "appended to the name, unless --sha256 sets it.",
    "sha256": "The expected SHA-256 of the catalog, in hexadecimal.",
    "force": "Accept a catalog that is older than the one in force, has a date in the future, or loses or changes too "
    "much of it.",
    "file": "The file of another catalog. Default: the release's catalog is compared with the one in force.",
    "model": "The provider's name for the model.",
    "provider": "The provider, by its name in the configuration or in the catalog.",
    "price_input": "Dollars per million tokens of prompt; 0 means free.",
    "price_output": "Dollars per million tokens of answer; 0 means free.",
    "price_cached": "Dollars per million tokens of prompt that are read from the provider's cache.",
    "low": "Accept a price below a tenth of a cent per million tokens.",
    "context": "The context window in tokens.",
    "max_output": "The most tokens of an answer.",
    "can": "A feature that the model has, such as `tools`. May be repeated.",
    "cannot": "A feature that the model does not have. May be repeated.",
    "like": "A model whose limits and capabilities the new one has, such as `gpt-5.1`.",
    "name": "The canonical name, if other providers serve the same model under this name.",
    "retires_on": "The day from which the provider no longer serves the model, such as 2027-03-31, or `never`.",
}

command = typer.Typer(
    help="Show, compare and change the model catalog. Without a subcommand, show the one in force.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@command.callback()
def _show_by_default(context: typer.Context, config: Config = None, data_dir: DataDir = None) -> None:
    if context.invoked_subcommand is None:
        show(config, data_dir)
    else:  # the options count for the subcommand too, unless it has its own
        given = {"config": config, "data_dir": data_dir}
        context.default_map = {
            context.invoked_subcommand: {name: one for name, one in given.items() if one is not None}
        }


@command.command()
def show(config: Config = None, data_dir: DataDir = None) -> None:
    """Show the catalog in force: its date, its size and its overlay."""
    from pointsman.cli._overlay import over
    from pointsman.config.catalog import read_catalog

    folder = data_dir or _data_dir(config)
    installed = read_catalog(folder)
    if installed.problem is not None:
        print_line(installed.problem, err=True)
    _in_force(over(installed.catalog, config, folder))


@command.command()
def update(
    source: Annotated[str, typer.Option("--from", help=_HELP["source"])],
    sha256: Annotated[str | None, typer.Option("--sha256", help=_HELP["sha256"])] = None,
    force: Annotated[bool, typer.Option("--force", help=_HELP["force"])] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Install a whole catalog from a file or an address.

    A catalog is accepted whole or not at all. The checksum must match, and every entry must be readable. Without
    --force, it must not be older than the catalog in force, or come from the future. Nor may it lack, retire, or have
    no price for more than 5 % of the served models, or half of those of a provider. The same holds for prices that
    change by a factor above 3. A running gateway loads it within seconds, or at SIGHUP if it has no configuration file.
    """
    from pointsman.catalog.reader import CatalogError
    from pointsman.config.catalog import install

    folder = data_dir or _data_dir(config)
    try:
        content = _read(source)
        _check(content, sha256 or _published_checksum(source), source)
        catalog = install(folder, content, force=force)
    except CatalogError as error:
        raise _failed(f"cannot install {source}: {error}") from None
    except FileNotFoundError:
        raise _failed(f"{source}: no such file") from None
    except OSError as error:
        raise _failed(f"{source}: {error.strerror or error}") from None
    _in_force(catalog)


@command.command()
def revert(config: Config = None, data_dir: DataDir = None) -> None:
    """Restore the catalog before the last update, or the release's."""
    from pointsman.config import catalog as catalogs

    folder = data_dir or _data_dir(config)
    try:
        _in_force(catalogs.revert(folder))
    except FileNotFoundError:
        raise _failed(f"{folder}: no such catalog to revert") from None
    except OSError as error:
        raise _failed(f"{folder}: {error.strerror or error}") from None


@command.command()
def add(  # noqa: PLR0913, PLR0917 -- each parameter is an option
    model: Annotated[str, typer.Argument(help=_HELP["model"])],
    provider: Annotated[str | None, typer.Option("--provider", "-p", help=_HELP["provider"])] = None,
    price_input: Annotated[str | None, typer.Option("--price-input", help=_HELP["price_input"])] = None,
    price_output: Annotated[str | None, typer.Option("--price-output", help=_HELP["price_output"])] = None,
    price_cached: Annotated[str | None, typer.Option("--price-cached", help=_HELP["price_cached"])] = None,
    context: Annotated[int | None, typer.Option("--context", min=1, help=_HELP["context"])] = None,
    max_output: Annotated[int | None, typer.Option("--max-output", min=1, help=_HELP["max_output"])] = None,
    can: Annotated[list[str] | None, typer.Option("--can", help=_HELP["can"])] = None,
    cannot: Annotated[list[str] | None, typer.Option("--cannot", help=_HELP["cannot"])] = None,
    like: Annotated[str | None, typer.Option("--like", help=_HELP["like"])] = None,
    name: Annotated[str | None, typer.Option("--name", help=_HELP["name"])] = None,
    retires_on: Annotated[str | None, typer.Option("--retires-on", help=_HELP["retires_on"])] = None,
    force: Annotated[bool, typer.Option("--force", help=_HELP["low"])] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Add a model to the overlay of the catalog, or change its entry there.

    The overlay is the file `catalog.overlay` of the configuration, or `overlay.yaml` in `catalog` of the data folder.
    It is checked before it is written, and keeps all else. A running gateway loads it within seconds, or at SIGHUP if
    it has no configuration file.
    """
    from pointsman.cli._catalog_add import Added, add_model

    added = Added(
        model=model,
        provider=provider,
        price_input=_usd(price_input, "--price-input", force=force),
        price_output=_usd(price_output, "--price-output", force=force),
        price_cached=_usd(price_cached, "--price-cached", force=force),
        context=context,
        max_output=max_output,
        can=can or [],
        cannot=cannot or [],
        like=like,
        name=name,
        retires_on=retires_on,
    )
    add_model(added, config, data_dir or _data_dir(config))


@command.command()
def diff(
    file: Annotated[Path | None, typer.Argument(help=_HELP["file"], show_default=False)] = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare the catalog in force with another one, or with that of the release.

    Print the changed providers, models, prices, retirements and canonical names. With a file, these are the changes
    that its installation would make.
    """
    from pointsman.catalog.reader import CatalogError, ModelCatalog
    from pointsman.cli._catalog_diff import print_differences
    from pointsman.cli._overlay import over
    from pointsman.config.catalog import packaged, read_catalog

    folder = data_dir or _data_dir(config)
    in_force = read_catalog(folder).catalog
    if file is None:
        print_differences(packaged(), over(in_force, config, folder), as_json=as_json)
        return
    try:
        print_differences(in_force, ModelCatalog(file.read_bytes()), as_json=as_json)
    except CatalogError as error:
        raise _failed(f"{file}: {error}") from None
    except OSError as error:
        raise _failed(f"{file}: {error.strerror or error}") from None


@command.command()
def schema() -> None:
    """Print the JSON Schema of the overlay."""
    from pointsman.config.overlay import overlay_schema

    print_json(overlay_schema())


def _in_force(catalog: ModelCatalog) -> None:
    providers = list(catalog.providers())
    models = sum(1 for provider in providers for _ in catalog.models(provider))
    names = sum(1 for _ in catalog.canonical_names())
    overlay = " and an overlay" if catalog.layers else ""
    print_line(f"in force: the catalog of {catalog.date}{overlay}, sha256 {catalog.digest}")
    count = "1 provider" if len(providers) == 1 else f"{len(providers)} providers"
    print_line(f"{models} models at {count}, retired ones too; {names} canonical names that are still served")


def _usd(text: str | None, option: str, *, force: bool) -> Decimal | None:
    from decimal import Decimal, InvalidOperation

    if text is None:
        return None
    try:
        value = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a number of dollars, such as 2.5", param_hint=option) from None
    if not 0 <= value < 10**6:
        raise typer.BadParameter("must be from 0 to 1,000,000 dollars per million tokens", param_hint=option)
    if 0 < value < Decimal(LEAST_USD) and not force:
        message = f"prices are per million tokens; write {(value * 10**6).normalize():f}, or accept {text} with --force"
        raise typer.BadParameter(message, param_hint=option)
    return value


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
