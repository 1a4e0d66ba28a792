"""The configuration file is usable."""

from pointsman.config.problems import Problem
from pointsman.doctor.api import Finding, Subject, error, ok, warning


async def check(subject: Subject) -> list[Finding]:
    """Return the problems that `pointsman check` would print."""
    found = [_finding(subject.name, problem) for problem in subject.checked.problems]
    return found or [ok(f"{subject.name} has no problem")]


def _finding(name: str, problem: Problem) -> Finding:
    text = f"{name}:{problem.line or 1}: {problem}"
    if problem.severity == "error":
        return error(text, "correct the file; until then a gateway keeps its old configuration, and none can start")
    return warning(text, "correct the file, or leave it if this is intended")
