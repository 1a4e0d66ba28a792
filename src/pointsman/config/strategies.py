"""Strategies in the configuration: a name, or a mapping with the name and the settings of that strategy."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from pydantic import BeforeValidator, ConfigDict

from pointsman.config.problems import Findings, listed, nearest
from pointsman.config.sections import Name, Section
from pointsman.config.source import Location
from pointsman.domain.targets import Strategy
from pointsman.routing.strategies import STRATEGIES, StrategyKind


class StrategySettings(Section):
    """A strategy by its name, and beside it the settings that this strategy has. Those of this version have none."""

    model_config = ConfigDict(extra="allow")

    name: Name
    """The strategy."""


def _expand(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


StatedStrategy = Annotated[StrategySettings, BeforeValidator(_expand, json_schema_input_type=Name | StrategySettings)]


def compile_strategy(
    stated: StrategySettings | None,
    location: Location,
    findings: Findings,
    kinds: Mapping[str, StrategyKind] = STRATEGIES,
) -> Strategy | None:
    """Check a strategy and its settings by the strategy's own schema."""
    if stated is None:
        return None
    kind, settings = kinds.get(stated.name), stated.model_extra or {}
    if kind is None:
        guess = nearest(stated.name, kinds)
        message = f"unknown strategy {stated.name!r}; use one of: {listed(kinds)}{guess}"
        findings.error(location, message)
        return None
    allowed = kind.settings.__struct_fields__
    for name in settings.keys() - allowed:
        known = f"its settings are {listed(allowed)}" if allowed else "it has no settings"
        findings.error((*location, name), f"unknown setting {name!r} of the strategy {stated.name!r}; {known}")
        return None
    try:
        return Strategy(stated.name, msgspec.convert(settings, kind.settings) if settings else None)
    except msgspec.ValidationError as error:
        findings.error(location, f"invalid settings of the strategy {stated.name!r}: {error}")
        return None
