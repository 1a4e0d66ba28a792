"""Problems of a configuration, each with its place in the file."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from pointsman.config.source import Location, Source
from pointsman.routing.wording import listed as listed  # noqa: PLC0414 -- for users of problems

# An error makes the configuration unusable; a warning deserves a change; a note explains.
Severity = Literal["error", "warning", "note"]


class Problem(Struct, frozen=True):
    """One problem of a configuration. `path` is in YAML terms, such as `models.chat.targets[0].model`. It is empty for
    the file as a whole. `line` counts from 1. The message contains no secret. A problem of a resource that was made by
    API has the `resource`, such as `team research`. Its path then begins inside that."""

    path: str
    message: str
    line: int | None = None
    severity: Severity = "error"
    resource: str = ""

    def __str__(self) -> str:
        place = ": ".join(filter(None, (self.resource if self.line is None else "", self.path)))
        return f"{place}: {self.message}" if place else self.message


class Findings:
    """Collects problems by location in the document and adds their place in the file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: list[tuple[Location, Problem]] = []

    def error(self, location: Location, message: str) -> None:
        self._add(location, message, "error")

    def warning(self, location: Location, message: str) -> None:
        self._add(location, message, "warning")

    def note(self, location: Location, message: str) -> None:
        self._add(location, message, "note")

    def _add(self, location: Location, message: str, severity: Severity) -> None:
        path, line = self._source.place(location)
        self._found.append((location, Problem(path, message, line, severity, self._source.owner(location))))

    def owner(self, location: Location) -> str:
        """Return the resource made by API that has this location, or an empty text for the file."""
        return self._source.owner(location)

    @property
    def has_errors(self) -> bool:
        return any(problem.severity == "error" for _, problem in self._found)

    def forget(self, lost: Iterable[Location]) -> None:
        """Drop problems that may only follow from omitted parts of the document. Those are problems inside such a part,
        and those of the places around it. Warnings and notes are all dropped, since they concern the whole."""
        gone = tuple(lost)
        if gone:
            self._found = [
                (location, problem)
                for location, problem in self._found
                if problem.severity == "error"
                and not any(location[: len(one)] == one or one[: len(location)] == location for one in gone)
            ]

    def errors(self) -> list[Problem]:
        """Return the errors alone, in the order of the file."""
        return [problem for problem in self.in_order() if problem.severity == "error"]

    def in_order(self) -> tuple[Problem, ...]:
        """Return all problems in the order of the file."""
        return in_order(problem for _, problem in self._found)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by line; those of the file as a whole come first."""
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def render(problems: Iterable[Problem], file: str) -> list[str]:
    """Return a line for each problem in the format of compilers, so that editors can jump to it."""
    return [
        f"{file}{'' if problem.line is None else f':{problem.line}'}: {problem.severity}: {problem}"
        for problem in problems
    ]


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return `"; did you mean 'weight'?"`, or an empty text if no valid name is near."""
    by_folded = {candidate.lower(): candidate for candidate in valid}
    close = get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {by_folded[close[0]]!r}?" if close else ""
