"""The types that all checks share."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from pointsman.config.compile import Checked
from pointsman.config.settings import Settings
from pointsman.domain.snapshots import Snapshot

Level = Literal["ok", "skipped", "warning", "error"]


class Finding(Struct, frozen=True):
    """One result of a check. `advice` says how to mend it; only warnings and errors have some."""

    level: Level
    text: str
    advice: str = ""


class Subject(Struct, frozen=True, kw_only=True):
    """The installation. `name` is the configuration file, or `environment`. `now` is in Unix seconds. `is_online`
    allows connections to providers. `is_running` says that a gateway holds the lock of the data folder. `ask` returns a
    resource of the admin API, or `None` if there is no token; it raises `OSError` if the console does not answer."""

    name: str
    checked: Checked
    environ: Mapping[str, str]
    now: float
    is_online: bool = True
    is_running: bool = False
    ask: Callable[[str], Any] = lambda path: None  # noqa: ARG005

    @property
    def settings(self) -> Settings | None:
        return self.checked.compiled.settings if self.checked.compiled is not None else None

    @property
    def snapshot(self) -> Snapshot | None:
        return self.checked.compiled.snapshot if self.checked.compiled is not None else None


Check = Callable[[Subject], Awaitable[Sequence[Finding]]]


def ok(text: str) -> Finding:
    return Finding("ok", text)


def skipped(text: str) -> Finding:
    return Finding("skipped", text)


def warning(text: str, advice: str) -> Finding:
    return Finding("warning", text, advice)


def error(text: str, advice: str) -> Finding:
    return Finding("error", text, advice)


def days(seconds: float) -> str:
    """Return a span as whole days."""
    number = int(seconds // 86_400)
    return f"{number} day{'' if number == 1 else 's'}"
