"""A configuration with other rules, to compare them with those in force."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pointsman.config.compile import Checked, compile_document, compile_file
from pointsman.config.load import load
from pointsman.config.problems import Problem
from pointsman.config.source import SourceError, parse


def compile_with_rules(rules: Path, base: Path | None, environ: Mapping[str, str]) -> Checked:
    """Compile a configuration with the rules of the file `rules`. That is a configuration, or has nothing but `rules`.
    Its rules replace those of `base`; without `base` it is the whole configuration. Secrets are not read. Faulty
    content or a missing file raises nothing."""
    try:
        new = _read(rules)
        if base is None:
            if new.keys() != {"rules"}:
                return compile_file(rules, environ, reads_secrets=False)
            return _failed("has only rules; name the configuration that they are for with --config")
        data = _read(base)
        found = new["rules"] if new.keys() == {"rules"} else _routing(new).get("rules", [])
        data["routing"] = {**_routing(data), "rules": found}
    except OSError as error:
        return _failed(f"{error.filename} cannot be read: {error.strerror}")
    except SourceError as error:
        return Checked(None, (Problem("", error.message, error.line),))
    content = json.dumps(data, default=str).encode()
    checked = compile_document(load(content), base.absolute().parent, environ, reads_secrets=False)
    # The two files have been joined, so lines would mean nothing.
    return replace(checked, problems=tuple([replace(problem, line=None) for problem in checked.problems]))


def _read(path: Path) -> dict[str, Any]:
    return dict(parse(path.read_bytes()).data)


def _routing(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section; if it is none, the other checks report it."""
    section = data.get("routing")
    return dict(section) if isinstance(section, Mapping) else {}


def _failed(message: str) -> Checked:
    return Checked(None, (Problem("", message),))
