"""Requirements of compliance, and the tags that meet them.

A tag is a property that the operator states of a provider, of one of its keys or of a target, such as `region: eu`. A
requirement names a tag and values. All requirements that apply to a request must hold, whatever their origins, so
another requirement can only narrow the choice. A tag that is missing or has expired meets no requirement.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct


class Tag(Struct, frozen=True):
    """One value of a tag. `evidence` names the document that proves it. `expires_at`, in Unix seconds, is the time from
    which the value does not hold."""

    value: str
    evidence: str = ""
    expires_at: float | None = None


Tags = Mapping[str, tuple[Tag, ...]]  # the values of each tag, by its name
NO_TAGS: dict[str, tuple[Tag, ...]] = {}


class Requirement(Struct, frozen=True):
    """A tag and its required values: one of them, or all if it `needs_all`. `origin` is the place that requires it, in
    words such as `virtual key notebook`."""

    tag: str
    values: tuple[str, ...]
    needs_all: bool = False
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.tag}={('+' if self.needs_all else '|').join(self.values)}"


Requirements = tuple[Requirement, ...]
REGION = "region"  # the tag that the name of a model may state
UNKNOWN = "unknown"  # its value, if the name says that the model may run in another region than that of the address
OWN = "virtual key "  # the beginning of the origin of a virtual key's own requirements
NO_REQUIREMENTS: Requirements = ()


def merged(*groups: Iterable[Requirement]) -> Requirements:
    """Return all requirements of several origins, each once."""
    return tuple(dict.fromkeys(one for group in groups for one in group))


def statements(name: str, provider: Tags, key: Tags, target: Tags) -> Sequence[tuple[Tag, ...]]:
    """Return the values that are stated for a tag. Each statement must meet a requirement by itself. The statements of
    a key and of a target replace that of their provider, since an account or a deployment may be elsewhere. A key and a
    target do not replace each other."""
    own = [tags[name] for tags in (key, target) if name in tags]
    return own or [provider.get(name, ())]


def is_met(requirement: Requirement, stated: Sequence[tuple[Tag, ...]], unix_s: float) -> bool:
    """Return whether each statement about a tag meets a requirement at a time."""
    return all(_meets(requirement, tags, unix_s) for tags in stated)


def _meets(requirement: Requirement, tags: Iterable[Tag], unix_s: float) -> bool:
    present = {tag.value for tag in tags if not has_expired(tag, unix_s)}
    if requirement.needs_all:
        return present.issuperset(requirement.values)
    return not present.isdisjoint(requirement.values)


def has_expired(tag: Tag, unix_s: float) -> bool:
    return tag.expires_at is not None and unix_s >= tag.expires_at


def next_expiry(stated: Iterable[tuple[Tag, ...]], unix_s: float) -> float | None:
    """Return the first time after `unix_s` at which a value expires, in Unix seconds."""
    later = (tag.expires_at for tags in stated for tag in tags if not has_expired(tag, unix_s))
    return min((moment for moment in later if moment is not None), default=None)


def shortcoming(requirement: Requirement, stated: Sequence[tuple[Tag, ...]], unix_s: float) -> str:
    """Say why statements do not meet a requirement, such as `its region is us`."""
    tags = next(tags for tags in stated if not _meets(requirement, tags, unix_s))
    if not tags:
        return f"it has no tag {requirement.tag}"
    expired = [tag for tag in tags if has_expired(tag, unix_s) and tag.value in requirement.values]
    if expired:
        return f"its {requirement.tag}={expired[0].value} expired on {day_of(expired[0].expires_at or 0.0)}"
    return f"its {requirement.tag} is {', '.join(tag.value for tag in tags)}"


def day_of(unix_s: float) -> str:
    """Return the date of a time, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).date().isoformat()
