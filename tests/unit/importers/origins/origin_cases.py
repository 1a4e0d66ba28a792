"""Configurations of other gateways with the routing that they mean, and its text in this gateway."""

from pathlib import Path
from typing import Any

import yaml

from pointsman.config.compile import compile_file
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.importers.draft import Draft
from pointsman.importers.origin import ImportOrigin
from pointsman.importers.render import write

HERE = Path(__file__).parent


def cases(name: str) -> list[Any]:
    found: list[Any] = yaml.safe_load((HERE / name).read_text())
    assert len(found) >= 10
    return found


def imported(origin: ImportOrigin, document: dict[str, Any], folder: Path) -> tuple[Snapshot, Draft]:
    """Return the compiled configuration. It must have no errors."""
    draft = Draft()
    origin.read(document, draft)
    write(folder, draft, origin, "source")
    checked = compile_file(folder / "pointsman.yaml", {}, reads_secrets=False)
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    assert not errors, errors
    assert checked.compiled is not None
    return checked.compiled.snapshot, draft


def route(model: PublicModel, default: str) -> str:
    """Return the targets, the fallbacks after a failing provider, and those for other causes if they differ."""
    strategy = model.strategy.name if model.strategy is not None else default
    parts = [f"{strategy}: {weighted(model.targets)}" if len(model.targets) > 1 else model.targets[0].id]
    usual = _after(model, "provider")
    if usual:
        parts.append(usual)
    others = {cause: _after(model, cause) for cause in ("content_filter", "context_length")}
    parts += [f"{cause}: {found}" for cause, found in others.items() if found not in ("", usual)]
    return " | ".join(parts)


def _after(model: PublicModel, cause: str) -> str:
    return ", ".join(one.id for one in model.fallbacks if not one.after or cause in one.after)


def weighted(targets: tuple[Candidate, ...]) -> str:
    equal = len({one.weight for one in targets}) == 1
    return ", ".join(one.id if equal else f"{one.id}*{one.weight:g}" for one in targets)


def limit_texts(limits: tuple[Limit, ...]) -> str:
    amounts = sorted(
        f"{one.metric} {one.amount / 1e9 if one.metric == 'usd' else one.amount:g} per {one.period.name}"
        for one in limits
    )
    return ", ".join(amounts).replace("1e+05", "100000")
