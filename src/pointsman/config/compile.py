"""From a document to a snapshot, or to everything that is wrong with it. Reads secrets, sends nothing."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from time import time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.catalog.reader import ModelCatalog
from pointsman.config.access import compile_access
from pointsman.config.addresses import is_loopback
from pointsman.config.catalog import CURRENT, FOLDER, LISTS, CatalogInUse, read_catalog
from pointsman.config.endpoints import EndpointCompiler
from pointsman.config.key_directory import FileKeys, KeyDirectory
from pointsman.config.keys_file import KeysFileError, read_keys
from pointsman.config.limits import LimitCompiler
from pointsman.config.load import Loaded, load
from pointsman.config.overrides import overridden
from pointsman.config.prices import compile_pricing
from pointsman.config.problems import Findings, Problem, in_order
from pointsman.config.process import compile_network, compile_settings
from pointsman.config.public_models import ModelCompiler, note_idle_keys
from pointsman.config.references import References
from pointsman.config.routing_schema import RoutingSettings
from pointsman.config.schema import Document, GovernanceSettings
from pointsman.config.settings import Settings
from pointsman.config.snapshot_file import Compiled
from pointsman.config.strategies import compile_strategy
from pointsman.config.unusable import warn_unusable
from pointsman.config.virtual_keys import KeyCompiler, check_access, compile_key_headers
from pointsman.domain.identity import VirtualKey
from pointsman.domain.network import Network
from pointsman.domain.snapshots import Failover, HealthLimits, Names, Routing, Snapshot, Timeouts
from pointsman.domain.targets import Endpoint
from pointsman.providers import PROVIDERS
from pointsman.providers.api import Provider
from pointsman.routing.strategies import STRATEGIES, StrategyKind


class Parts(Struct, frozen=True):
    """What a configuration may name: provider records by name, strategies, and models; without a catalog, those of the
    package and the data folder."""

    providers: Mapping[str, Provider]
    strategies: Mapping[str, StrategyKind]
    catalog: ModelCatalog | None = None


INSTALLED = Parts(PROVIDERS, STRATEGIES)


class Checked(Struct, frozen=True):
    """The outcome: `compiled` is `None` when `problems` has an error. `secret_files` were asked for in any case."""

    compiled: Compiled | None
    problems: tuple[Problem, ...]
    secret_files: frozenset[Path] = frozenset()


def compile_file(
    path: Path, environ: Mapping[str, str], parts: Parts = INSTALLED, *, reads_secrets: bool = True
) -> Checked:
    """Read and compile a configuration file. Never raises for what is in it, or for its absence."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Checked(None, (Problem("", f"{path} cannot be read: {error.strerror}"),))
    return compile_document(load(content), path.parent, environ, parts, reads_secrets=reads_secrets)


def compile_document(
    loaded: Loaded,
    folder: Path,
    environ: Mapping[str, str],
    parts: Parts = INSTALLED,
    directory: KeyDirectory | None = None,
    *,
    reads_secrets: bool = True,
) -> Checked:
    """Compile a document. `folder` is where its relative paths start. `directory` stands in for its file of keys.
    Unless it `reads_secrets`, placeholders stand for all of them: the outcome can be looked at, but not served.
    A document that lost faulty fields is compiled all the same, for what else is wrong with it.
    """
    document = loaded.document
    if document is None:
        return Checked(None, loaded.problems)
    findings = Findings(loaded.source)
    references = References(environ, folder, reads_secrets=reads_secrets)
    document = overridden(document, environ, findings)
    settings = compile_settings(document, folder, references, findings)
    timeout_s = document.routing.timeouts.connect_s
    network = compile_network(Network(connect_timeout_s=timeout_s), document.egress, ("egress",), references, findings)
    limits = LimitCompiler(findings)
    data_dir = settings.data_dir if settings is not None else None
    in_use = read_catalog(data_dir) if parts.catalog is None else CatalogInUse(parts.catalog)
    if in_use.problem is not None:
        findings.warning(("data_dir",), in_use.problem)
    compiler = EndpointCompiler(parts.providers, network, references, limits, findings, models=in_use)
    endpoints = _endpoints(document, compiler)
    names = Names(endpoints, in_use.catalog, document.routing.siblings)
    routing = compile_routing(document.routing, parts.strategies, findings)
    models = ModelCompiler(document, names, routing, parts.strategies, findings).compile_all()
    note_idle_keys(models, endpoints, findings)
    key_compiler = KeyCompiler(document, references, limits, parts.strategies, findings)
    own_keys = key_compiler.compile_all(time())
    if document.governance.keys_file is not None:
        directory = directory or _read_keys(document.governance, own_keys, references, key_compiler, findings)
    shared = key_compiler.shared_limits() if directory is not None else ()
    keys = FileKeys(own_keys, directory, shared) if directory is not None else own_keys
    snapshot = Snapshot(
        digest="",
        endpoints=endpoints,
        models=models,
        virtual_keys=keys,
        require_key=document.governance.require_key,
        routing=routing,
        key_headers=compile_key_headers(document.governance, findings),
        pricing=compile_pricing(document, in_use.catalog, findings, lambda name: _is_key(directory, name)),
        names=names,
        shared_limits=shared,
        near_limit=document.governance.near_limit,
        default_provider=document.server.default_provider,
        access=compile_access(document.server, findings),
        limit_headers=document.server.limit_headers,
    )
    _note_unused(document, findings)
    warn_unusable(snapshot, own_keys, findings)
    check_access(document.governance, settings.listen if settings else None, findings)
    if settings is not None:
        _refuse_own_address(endpoints, settings, findings)
    findings.forget(loaded.lost)
    problems = in_order((*loaded.problems, *findings.in_order()))
    secret_files = _watched(references, data_dir)
    if settings is None or loaded.problems or findings.has_errors:
        return Checked(None, problems, secret_files)
    snapshot = replace(snapshot, digest=_digest(document, references, in_use, directory))
    compiled = Compiled(snapshot, settings, secret_files, directory, _owners(document.governance))
    return Checked(compiled, problems, secret_files)


def _watched(references: References, data_dir: Path | None) -> frozenset[Path]:
    of_catalog = {data_dir / FOLDER / CURRENT, data_dir / FOLDER / LISTS} if data_dir is not None else set[Path]()
    return frozenset(references.files | of_catalog)


def _owners(governance: GovernanceSettings) -> frozenset[str]:
    teams = [f"team:{name}" for name in governance.teams]
    return frozenset([*teams, *(f"customer:{name}" for name in governance.customers)])


def _read_keys(
    governance: GovernanceSettings,
    own: Mapping[bytes, VirtualKey],
    references: References,
    compiler: KeyCompiler,
    findings: Findings,
) -> KeyDirectory | None:
    """The file of further keys; `None` where it is wrong, which is then among the findings."""
    assert governance.keys_file is not None
    place = ("governance", "keys_file")
    path = Path(references.path(governance.keys_file))
    references.files.add(path)
    try:
        return read_keys(path, governance.virtual_keys, own, compiler.compile_one)
    except OSError as error:
        findings.error(place, f"{path} cannot be read: {error.strerror}")
    except KeysFileError as error:
        for problem in error.problems:
            findings.error(place, problem)
        if error.more:
            findings.error(place, f"{error.more} more lines are wrong")
    return None


def _is_key(directory: KeyDirectory | None, name: str) -> bool:
    return directory is not None and directory.named(name) is not None


def _endpoints(document: Document, compiler: EndpointCompiler) -> dict[str, Endpoint]:
    compiled = {name: compiler.compile(name, settings) for name, settings in document.providers.items()}
    return {name: endpoint for name, endpoint in compiled.items() if endpoint is not None}


def compile_routing(settings: RoutingSettings, kinds: Mapping[str, StrategyKind], findings: Findings) -> Routing:
    """The defaults of every public name."""
    timeouts = Timeouts(**settings.timeouts.model_dump())
    failover = Failover(frozenset(settings.failover.fallback_on), settings.failover.first_token_s)
    health = HealthLimits(**settings.health.model_dump())
    return Routing(
        strategy=compile_strategy(settings.strategy, kinds, ("routing", "strategy"), findings) or Routing().strategy,
        max_attempts=settings.max_attempts,
        timeouts=timeouts,
        commit_buffer=settings.commit_buffer,
        failover=failover,
        health=health,
        event_bytes=settings.event_bytes,
        state_days=settings.state_days,
        unowned_state=settings.unowned_state,
    )


def _note_unused(document: Document, findings: Findings) -> None:
    """Fields that describe something this version does not act on yet: said, so that nobody relies on them."""
    for name, provider in document.providers.items():
        if provider.tags:
            findings.note(("providers", name, "tags"), "no rule of this version reads tags")


def _refuse_own_address(endpoints: Mapping[str, Endpoint], settings: Settings, findings: Findings) -> None:
    """A gateway that is its own provider would ask itself until every connection is taken."""
    listen = settings.listen
    for endpoint in endpoints.values():
        origin = endpoint.origin
        if origin.port == listen.port and is_loopback(origin.host) and (not listen.host or listen.is_loopback):
            message = f"the address of this provider, {origin}, is the gateway's own; change server.listen or base_url"
            findings.error(("providers", endpoint.name), message)


def _digest(document: Document, references: References, in_use: CatalogInUse, directory: KeyDirectory | None) -> str:
    """Identifies what the configuration says, secrets, keys and catalog included, without giving any secret away."""
    keys = directory.digest if directory is not None else None
    said = json.dumps([document.model_dump(mode="json"), sorted(references.digests.items()), in_use.digest, keys])
    return sha256(said.encode()).hexdigest()
