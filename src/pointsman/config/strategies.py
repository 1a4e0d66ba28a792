"""Strategies in the configuration: a name, or a mapping of the name to the settings of that strategy."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from pydantic import BeforeValidator, Field

from pointsman.config.problems import Findings, nearest
from pointsman.config.sections import Name, Section
from pointsman.config.source import Location
from pointsman.domain.targets import Strategy
from pointsman.routing.strategies import STRATEGIES, StrategyKind
from pointsman.routing.wording import listed


class StrategySettings(Section):
    """A strategy with its settings, as `{name: {setting: value}}`."""

    name: str
    """The name of the strategy."""
    settings: dict[str, object] = Field(default_factory=dict)
    """Its settings, which only the strategy knows."""


def _expand(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1:
        ((name, settings),) = value.items()
        if settings is None or isinstance(settings, dict):
            return {"name": name, "settings": settings or {}}
    if isinstance(value, StrategySettings):
        return value
    raise ValueError("must be the name of a strategy, or one name with its settings: {cheapest: {max_usd: 0.01}}")


StrategyField = Annotated[StrategySettings, BeforeValidator(_expand, json_schema_input_type=Name | StrategySettings)]


def compile_strategy(
    chosen: StrategySettings | None,
    location: Location,
    findings: Findings,
    kinds: Mapping[str, StrategyKind] = STRATEGIES,
) -> Strategy | None:
    """Check a strategy and its settings against the schema of the strategy. Return `None` if none is set or it is
    faulty."""
    if chosen is None:
        return None
    kind, settings = kinds.get(chosen.name), chosen.settings
    if kind is None:
        guess = nearest(chosen.name, kinds)
        message = f"unknown strategy {chosen.name!r}; use one of: {listed(kinds)}{guess}"
        findings.error(location, message)
        return None
    allowed = kind.settings.__struct_fields__
    for name in settings.keys() - allowed:
        known = f"its settings are {listed(allowed)}" if allowed else "it has no settings"
        message = f"unknown setting {name!r} of the strategy {chosen.name!r}; {known}"
        findings.error((*location, chosen.name, name), message)
        return None
    try:
        return Strategy(chosen.name, msgspec.convert(settings, kind.settings) if settings else None)
    except msgspec.ValidationError as error:
        findings.error((*location, chosen.name), f"invalid settings of the strategy {chosen.name!r}: {error}")
        return None
