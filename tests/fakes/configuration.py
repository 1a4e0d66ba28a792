"""Helpers that compile the text of a configuration in the folder of a test."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from pointsman.config.compile import Checked, compile_document
from pointsman.config.load import load
from pointsman.config.problems import Problem, Severity
from pointsman.config.snapshot_file import Compiled, write_snapshot

ENVIRON = {
    "OPENAI_API_KEY": "sk-openai",
    "GROQ_API_KEY": "gsk-groq",
    "CLIENT_KEY": "pm-client-key-of-the-tests",
}
OPEN = "governance: {require_key: false}\n"


def checked(text: str, environ: Mapping[str, str] = ENVIRON, folder: Path = Path()) -> Checked:
    """Check a text, and return the result."""
    return compile_document(load(dedent(text).encode()), folder, environ)


def compiled(text: str, environ: Mapping[str, str] = ENVIRON, folder: Path = Path()) -> Compiled:
    """Compile a text that must have no errors."""
    outcome = checked(text, environ, folder)
    assert outcome.compiled is not None, [str(problem) for problem in outcome.problems]
    return outcome.compiled


def accept(path: Path, text: str, environ: Mapping[str, str] = ENVIRON, folder: Path | None = None) -> Compiled:
    """Compile a text and write its snapshot file, as a gateway does that starts with it."""
    folder = folder or path.parent
    result = compiled(text, environ, folder)
    write_snapshot(path, result)
    return result


def found(outcome: Checked, severity: Severity = "error") -> list[str]:
    """Return the problems of one severity as `path: message`."""
    return [str(problem) for problem in outcome.problems if problem.severity is severity]


def errors(text: str, environ: Mapping[str, str] = ENVIRON, folder: Path = Path()) -> list[str]:
    """Return the errors of a text, which must not compile."""
    outcome = checked(text, environ, folder)
    assert outcome.compiled is None
    return found(outcome)


def problem_at(outcome: Checked, path: str) -> Problem:
    """Return the only problem at a path."""
    (problem,) = [problem for problem in outcome.problems if problem.path == path]
    return problem
