"""Checks the `then` of budgets: the model exists, and the keys with such a budget may use it."""

from collections.abc import Iterable, Iterator
from time import time

from pointsman.config.problems import Findings, nearest
from pointsman.config.schema import Document, Limited
from pointsman.config.source import Location
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.requirements import merged
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.candidates import with_keys_of
from pointsman.routing.compliance import compliant
from pointsman.routing.instead import instead
from pointsman.routing.policies import STATIC, Asker
from pointsman.routing.router import router_of
from pointsman.routing.wording import listed


def check_then(
    document: Document, snapshot: Snapshot, falling: Iterable[tuple[Location, VirtualKey]], findings: Findings
) -> None:
    """Report each `then` that is no model, and each key that may not use its own. `falling` are keys with a `then`."""
    unknown, unix_s = set[str](), time()
    for place, settings in _limited(document):
        for index, budget in enumerate(settings.budgets):
            if budget.then is not None and not _candidates(budget.then, snapshot):
                unknown.add(budget.then)
                findings.error((*place, "budgets", index, "then"), _unknown(budget.then, snapshot))
    for place, key in falling:
        for limit in {limit.then: limit for limit in _limits(key) if limit.then and limit.then not in unknown}.values():
            found = with_keys_of(key, _candidates(limit.then, snapshot))
            reasons = [_objection(item, key, snapshot, unix_s) for item in found]
            if not found:
                findings.error(place, f"the {limit} has the `then` {limit.then!r}: {_unknown(limit.then, snapshot)}")
            elif (reason := reasons[0]) is not None and None not in reasons:
                message = f"the {limit} falls to {limit.then}, which this key cannot use: {reason.message}; allow it"
                findings.error(place, f"{message} for the key, or set another `then`")


def _limited(document: Document) -> Iterator[tuple[Location, Limited]]:
    """Yield everything in the document that has budgets, with its place."""
    governance = document.governance
    for name, provider in document.providers.items():
        yield ("providers", name), provider
    for index, default in enumerate(governance.defaults):
        yield ("governance", "defaults", index), default
    for kind, owners in (("customers", governance.customers), ("teams", governance.teams)):
        for name, owner in owners.items():
            yield ("governance", kind, name), owner
    for kind, keys in (("virtual_keys", governance.virtual_keys), ("access_templates", governance.access_templates)):
        for name, key in keys.items():
            yield ("governance", kind, name), key
            for provider_name, entry in key.providers.items():
                yield ("governance", kind, name, "providers", provider_name), entry


def _limits(key: VirtualKey) -> Iterator[Limit]:
    yield from key.limits
    for entry in key.entries.values():
        yield from entry.limits
    for one in key.end_users:
        yield from one.limits


def _candidates(name: str, snapshot: Snapshot) -> list[Candidate]:
    return instead(name, snapshot, router_of(snapshot).resolve)


def _objection(item: Candidate, key: VirtualKey, snapshot: Snapshot, unix_s: float) -> Reason | None:
    asker = Asker("chat", key, snapshot, unix_s)
    item = compliant(item, merged(snapshot.require, key.require), unix_s)
    found = [reason for _, static in STATIC if (reason := static(item, asker)) is not None]
    return next((reason for reason in found if not reason.is_last_resort), None)


def _unknown(name: str, snapshot: Snapshot) -> str:
    guess = nearest(name, snapshot.models) or f" or provider/model, with one of {listed(snapshot.endpoints)}"
    return f"unknown model {name!r}; use a public name{guess}"
