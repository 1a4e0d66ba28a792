"""The model catalogs: the one of the package, a newer one in the data folder, and the providers' own lists."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from pointsman.catalog.diff import FAR, Place, losses
from pointsman.catalog.names import key_of
from pointsman.catalog.reader import CatalogError, ModelCatalog
from pointsman.config.whole_file import write_whole
from pointsman.routing.wording import listed

FOLDER = "catalog"  # in the data folder
CURRENT = "models.json"
PREVIOUS = "models.previous.json"
LISTS = "lists.json"
MAX_BYTES = 64 * 1024 * 1024
MAX_LISTED = 20_000  # models of one provider
# Some models disappear with every new catalog, and some prices change. More of them are a mistake.
MOST_LOST = 0.05  # of the served models
MOST_OF_ONE, FEW = 0.5, 3  # of the models of one provider, if more than a few are lost


class Lists(Struct, frozen=True):
    """The models that providers list themselves, by the names of the providers in the configuration."""

    providers: dict[str, list[str]] = {}


class CatalogInUse(Struct, frozen=True):
    """A catalog with its additions. `problem` is the reason if the data folder's own is not used. `added` are the
    providers that only an overlay has."""

    catalog: ModelCatalog
    lists: Lists = Lists()
    problem: str | None = None
    added: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """Identifies the catalog and its additions."""
        listed = msgspec.json.encode(self.lists.providers, order="sorted")
        return sha256(self.catalog.digest.encode() + listed).hexdigest()


def packaged() -> ModelCatalog:
    """Return the catalog of this release, as of today."""
    return _packaged(_today())


@lru_cache(maxsize=1)  # of one catalog, which no configuration changes
def _packaged(today: str) -> ModelCatalog:
    return ModelCatalog(files("pointsman.catalog").joinpath("models.json").read_bytes(), today)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def read_catalog(data_dir: Path | None) -> CatalogInUse:
    """Return the newer of the release's catalog and that of the data folder, if it has a usable one."""
    if data_dir is None:
        return CatalogInUse(packaged())
    folder = data_dir / FOLDER
    catalog, problem = packaged(), None
    try:
        stat = (folder / CURRENT).stat()
        own = _read(folder / CURRENT, _today(), stat.st_mtime_ns, stat.st_size)
        catalog = own if own.date >= catalog.date else catalog
    except FileNotFoundError:
        pass
    except (OSError, CatalogError) as error:
        problem = f"{folder / CURRENT} cannot be used, so the release's catalog is in force: {error}"
    return CatalogInUse(catalog, _read_lists(folder / LISTS), problem)


def make_folder(data_dir: Path) -> Path:
    """Make the folder of catalogs, and return it. Raises `OSError`."""
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def files_of(data_dir: Path) -> frozenset[Path]:
    """Return the files of the data folder that change the catalog in use."""
    return frozenset({data_dir / FOLDER / CURRENT, data_dir / FOLDER / LISTS})


@lru_cache(maxsize=2)  # a configuration is compiled far more often than its catalog changes
def _read(path: Path, today: str, _mtime_ns: int, _size: int) -> ModelCatalog:
    return ModelCatalog(path.read_bytes(), today)


def install(data_dir: Path, content: bytes, *, force: bool = False) -> ModelCatalog:
    """Install a catalog, whole or not at all, and keep the one before it. It is used from the next check on. Raises
    `CatalogError` for one that is faulty, and `OSError`. Unless `force` is set, it also raises `CatalogError` for one
    that is older than the catalog in force, comes from the future, or lacks many models or prices of it."""
    catalog = ModelCatalog(content, _today())
    catalog.validate()
    if not force:
        _check_plausible(catalog, read_catalog(data_dir).catalog)
    folder = make_folder(data_dir)
    if (folder / CURRENT).exists():
        write_whole(folder / PREVIOUS, (folder / CURRENT).read_bytes())
    write_whole(folder / CURRENT, content)
    return catalog


def _check_plausible(catalog: ModelCatalog, in_force: ModelCatalog) -> None:
    remedy = "; --force accepts it: `pointsman catalog update --from … --force`"
    if catalog.date < in_force.date:
        message = f"its date, {catalog.date}, is before that of the catalog in force, {in_force.date}"
        raise CatalogError(message + remedy)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()  # it is made in any time zone
    if catalog.date > tomorrow:
        raise CatalogError(f"its date, {catalog.date}, is in the future{remedy}")
    found = losses(in_force, catalog)
    gone = sorted({provider for provider, _ in found.missing} - set(catalog.providers()))
    if gone:
        raise CatalogError(f"it has nothing of {listed(gone)}{remedy}")
    for lost, what in (
        (found.missing, "it lacks"),
        (found.retired, "it retires, as of today,"),
        (found.unpriced, "it has no price for"),
        (found.repriced, f"it changes prices by a factor above {FAR} for"),
    ):
        where = _too_many(lost, found.served)
        if where is not None:
            some = "/".join(lost[0])
            raise CatalogError(
                f"{what} {len(lost)} of {len(found.served)} served models{where}, such as {some}{remedy}"
            )


def _too_many(lost: list[Place], served: list[Place]) -> str | None:
    """Return where too many models are lost: empty for the whole catalog, and `None` if they are few."""
    if len(lost) > len(served) * MOST_LOST:
        return ""
    before = Counter(provider for provider, _ in served)
    for provider, count in Counter(provider for provider, _ in lost).items():
        if count > max(FEW, before[provider] * MOST_OF_ONE):
            return f", {count} of them at {provider}, which has {before[provider]}"
    return None


def revert(data_dir: Path) -> ModelCatalog:
    """Restore the catalog before the last `install`, or the release's. Return the one in use then. Raises `OSError`;
    `FileNotFoundError` if none was installed."""
    folder = data_dir / FOLDER
    if (folder / PREVIOUS).exists():
        (folder / PREVIOUS).replace(folder / CURRENT)
    else:
        (folder / CURRENT).unlink()
    return read_catalog(data_dir).catalog


def write_lists(data_dir: Path, lists: Lists) -> None:
    """Store the providers' lists. Raises `OSError`."""
    folder = make_folder(data_dir)
    write_whole(folder / LISTS, msgspec.json.encode(lists))


def _read_lists(path: Path) -> Lists:
    """Read the lists. Faults are ignored, since lists only add to the catalog."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lists)
    except (OSError, msgspec.DecodeError):
        return Lists()


def by_name(catalog: ModelCatalog, provider: str, models: list[str]) -> dict[str, tuple[str, ...]]:
    """Return a provider's own list by canonical names: the catalog's if it has one, else the provider's."""
    found: dict[str, tuple[str, ...]] = {}
    for model in models[:MAX_LISTED]:
        facts = catalog.find(provider, model)
        name = facts.name if facts is not None else catalog.name_of(key_of(provider, model)) or model
        found[name] = (*found.get(name, ()), model)
    return found
