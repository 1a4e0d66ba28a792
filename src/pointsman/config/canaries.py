"""Compiles the guards of the canaries of a public name, or of a rule."""

from pointsman.config.problems import Findings
from pointsman.config.routing_schema import ModelSettings, RuleSettings
from pointsman.config.source import Location
from pointsman.domain.targets import Guard


def compile_guards(
    settings: ModelSettings | RuleSettings, location: Location, findings: Findings
) -> tuple[Guard | None, ...]:
    """Return the guard of each target, or nothing if none is a canary."""
    guards: list[Guard | None] = []
    for index, target in enumerate(settings.targets):
        canary = target.canary
        if canary is None:
            guards.append(None)
            continue
        place = (*location, "targets", index, "canary")
        bounds = canary.abort_if
        if bounds.error_rate_above_control is None and bounds.ttft_ratio_to_control is None:
            message = "sets no bound; set error_rate_above_control, ttft_ratio_to_control, or both"
            findings.error((*place, "abort_if"), message)
        guards.append(
            Guard(
                bounds.error_rate_above_control,
                bounds.ttft_ratio_to_control,
                canary.min_requests,
                canary.resume_after_s,
            )
        )
    if not any(guards):
        return ()
    control = [target for target, guard in zip(settings.targets, guards, strict=True) if guard is None]
    if not any(target.weight > 0 for target in control):
        message = "a canary has no control to compare it with; add a target without `canary` and with a weight above 0"
        findings.error((*location, "targets"), message)
    return tuple(guards)
