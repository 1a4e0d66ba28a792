"""Compiles the sections of a document into a snapshot, each by its own module."""

import json
from hashlib import sha256
from pathlib import Path

from pointsman.config.access import compile_access
from pointsman.config.addresses import ListenAddress
from pointsman.config.catalog import CatalogInUse
from pointsman.config.endpoints import compile_endpoints
from pointsman.config.governance import Governed, compile_governance
from pointsman.config.key_directory import KeyDirectory
from pointsman.config.prices import compile_pricing
from pointsman.config.problems import Findings
from pointsman.config.provider_addresses import reject_own_address
from pointsman.config.public_models import ModelCompiler, compile_models, compile_routing, headers_read
from pointsman.config.references import References
from pointsman.config.requirements import compile_require
from pointsman.config.rules import compile_rules
from pointsman.config.schema import Document
from pointsman.domain.snapshots import Names, Snapshot


def compile_snapshot(
    document: Document,
    in_use: CatalogInUse,
    references: References,
    findings: Findings,
    *,
    listen: ListenAddress | None,
    data_dir: Path | None,
    directory: KeyDirectory | None,
) -> tuple[Snapshot, Governed]:
    """Return the snapshot and the governance of a document. With errors among the findings, they are not usable."""
    endpoints = compile_endpoints(document, in_use, references, findings)
    for endpoint in endpoints.values():
        reject_own_address(endpoint, listen, findings)
    names = Names(endpoints, in_use.catalog, document.routing.siblings)
    routing = compile_routing(document.routing, findings)
    compiler = ModelCompiler(document, names, routing, findings)
    models = compile_models(compiler, findings)
    governed = compile_governance(document, references, findings, directory, listen, data_dir=data_dir)
    rules = compile_rules(document, governed, compiler, models, findings)
    of_models, of_keys = [one.strategy for one in models.values()], [key.strategy for key in governed.own.values()]
    strategies = (routing.strategy, *of_models, *of_keys, *(rule.strategy for rule in rules.rules))
    pricing = compile_pricing(document, names, findings, governed.keys)
    directory = governed.directory
    of_keys_file = directory.digest if directory is not None else None
    parts = [document.model_dump(mode="json"), sorted(references.digests.items()), in_use.digest, of_keys_file]
    # It covers secrets, keys and the catalog, but reveals no secret.
    digest = sha256(json.dumps(parts).encode()).hexdigest()
    snapshot = Snapshot(
        digest=digest,
        endpoints=endpoints,
        models=models,
        virtual_keys=governed.keys_at(digest),
        require_key=document.governance.require_key,
        routing=routing,
        key_headers=governed.key_headers,
        pricing=pricing,
        names=names,
        shared_limits=governed.shared_limits,
        end_user_limits=governed.end_user_limits,
        near_limit=document.governance.near_limit,
        default_provider=document.server.default_provider,
        access=compile_access(document.server, findings),
        identities=governed.identities,
        limit_headers=document.server.limit_headers,
        require=compile_require(document.require, "the top-level require"),
        rules=rules.rules,
        logged_facts=rules.logged_facts,
        read_headers=tuple(sorted({*rules.headers, *headers_read(strategies), *governed.headers})),
    )
    return snapshot, governed
