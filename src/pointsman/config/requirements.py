"""Compiles tags and requirements, and reports those that cannot serve their purpose."""

from collections.abc import Collection, Mapping, Sequence

from pointsman.config.compliance_schema import RequiredSettings, TagSettings
from pointsman.config.problems import Findings
from pointsman.config.source import Location
from pointsman.domain.identity import VirtualKey
from pointsman.domain.requirements import NO_TAGS, Requirement, Requirements, Tag, Tags, day_of, merged
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.routing.compliance import compliant

NEAR_S = 30 * 86_400  # a tag that expires within this time is noted


def compile_tags(
    settings: Mapping[str, Sequence[TagSettings]], place: Location, findings: Findings, now_unix_s: float
) -> Tags:
    """Return the values of tags by name, and note those that expire soon."""
    if not settings:
        return NO_TAGS
    return {
        name: tuple([_tag(name, one, (*place, name), findings, now_unix_s) for one in values])
        for name, values in settings.items()
    }


def _tag(name: str, settings: TagSettings, place: Location, findings: Findings, now_unix_s: float) -> Tag:
    moment = settings.expires
    if moment is None:
        return Tag(settings.value, settings.evidence or "")
    if moment.tzinfo is None:
        findings.error(place, "`expires` must be a date, or have an offset from UTC, such as `2027-01-01T00:00:00Z`")
        return Tag(settings.value, settings.evidence or "", 0.0)
    expires_at = moment.timestamp()
    if expires_at <= now_unix_s:
        message = f"{name}={settings.value} expired on {day_of(expires_at)}, so it meets no requirement; renew it"
        findings.warning(place, message)
    elif expires_at <= now_unix_s + NEAR_S:
        findings.note(place, f"{name}={settings.value} expires on {day_of(expires_at)}; renew it before")
    return Tag(settings.value, settings.evidence or "", expires_at)


def warn_unmet(snapshot: Snapshot, keys: Collection[VirtualKey], findings: Findings, now_unix_s: float) -> None:
    """Warn of requirements of single owners and rules that no provider key meets, and of those of public names and
    rules that none of their targets meets. `keys` are those in the document itself."""
    _warn(snapshot.require, snapshot, ("require",), findings, now_unix_s)
    for key in {key.name: key for key in keys}.values():  # a key in rotation comes twice
        if key.require:
            place = ("governance", "virtual_keys", key.name)
            _warn(merged(snapshot.require, key.require), snapshot, place, findings, now_unix_s)
    for model in snapshot.models.values():
        require = merged(snapshot.require, model.require)
        items = (*model.targets, *model.fallbacks)
        if require and items and not any(compliant(item, require, now_unix_s).keys for item in items):
            message = f"no target meets {_listed(require)}, so every request is rejected (403 no_compliant_provider)"
            findings.warning(("models", model.name), message)
    for rule in snapshot.rules:
        require = merged(snapshot.require, rule.requirements)
        items = (*rule.targets, *(rule.fallbacks or ()))
        if rule.targets and not any(compliant(item, require, now_unix_s).keys for item in items):
            message = (
                f"no target of the rule {rule.name} meets {_listed(require)}, so every request that it matches is "
                f"rejected (403 no_compliant_provider)"
            )
            findings.warning(("routing", "rules"), message)
        elif rule.requirements and not rule.targets:
            _warn(require, snapshot, ("routing", "rules"), findings, now_unix_s)


def _warn(require: Requirements, snapshot: Snapshot, place: Location, findings: Findings, now_unix_s: float) -> None:
    targets = [item for model in snapshot.models.values() for item in model.targets if item.tags]
    items = [Candidate(id="", endpoint=one, model="", keys=one.keys) for one in snapshot.endpoints.values()]
    if require and not any(compliant(item, require, now_unix_s).keys for item in (*items, *targets)):
        message = f"no provider key meets {_listed(require)}, so every request is rejected (403 no_compliant_provider)"
        findings.warning(place, f"{message}; check the tags in `providers`")


def _listed(require: Requirements) -> str:
    return " and ".join(f"{one} (from {one.origin})" for one in require)


def compile_require(settings: Mapping[str, Sequence[str] | RequiredSettings], origin: str) -> Requirements:
    """Return the requirements of one origin, which is named in words."""
    return tuple(
        [
            Requirement(name, tuple(values.all), needs_all=True, origin=origin)
            if isinstance(values, RequiredSettings)
            else Requirement(name, tuple(values), origin=origin)
            for name, values in settings.items()
        ]
    )
