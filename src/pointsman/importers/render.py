"""The files of a draft: the configuration with its remarks as comments, the report, and the rest."""

import json
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pointsman.importers.draft import Draft, Note
from pointsman.importers.origin import ImportOrigin

_ORDER = ("version", "server", "data_dir", "providers", "models", "routing", "governance", "pricing")
_KINDS = {
    "todo": ("To do", "The gateway needs this from you."),
    "lost": ("No counterpart", "This is left out."),
    "changed": ("Works differently", "This is taken over in another form."),
}
_WIDTH = 110


def write(folder: Path, draft: Draft, origin: ImportOrigin, source: str) -> None:
    """Write the files of a draft into a folder. `source` is the name of the file that it was made from."""
    folder.mkdir(parents=True, exist_ok=True)
    if draft.keys:
        governance = draft.section("governance")
        governance["keys_file"] = "keys.jsonl"
        governance.pop("require_key", None)
        lines = "".join(json.dumps(key) + "\n" for key in draft.keys)
        (folder / "keys.jsonl").write_text(lines, encoding="utf-8")
    if draft.carried:
        (folder / "carried.json").write_bytes(msgspec.json.format(msgspec.json.encode(draft.carried), indent=2) + b"\n")
    if draft.secrets:
        (folder / "secrets.env").write_text(environment(draft), encoding="utf-8")
        names = ", ".join(sorted(draft.secrets))
        draft.todo("secrets", f"the file has secrets in clear; set these variables, as in secrets.env: {names}")
    (folder / "pointsman.yaml").write_text(configuration(draft, origin.title, source), encoding="utf-8")
    (folder / "report.md").write_text(report(draft, origin.title, origin.docs), encoding="utf-8")


def configuration(draft: Draft, title: str, source: str) -> str:
    """Return the YAML of a draft."""
    lines = [
        "# yaml-language-server: $schema=docs/reference/config.schema.json",
        "#",
        f"# Made by `pointsman import` from {source}, a configuration of {title}.",
        "# report.md lists the settings that have no counterpart, or that work differently.",
        "",
    ]
    sections = {"version": 1, **draft.sections}
    known = [name for name in _ORDER if sections.get(name)]
    for name in [*known, *(one for one in sections if one not in known)]:
        if sections[name] not in ({}, [], None):
            lines += [*_section(name, sections[name], draft.notes), ""]
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, value: Any, notes: Iterable[Note]) -> list[str]:
    if not isinstance(value, dict):
        return _dump({name: value})
    lines = [f"{name}:"]
    for key, entry in value.items():
        if entry in ({}, []) and name not in ("providers", "models"):
            continue
        lines += [f"  # {text}" for note in notes if note.target == (name, key) for text in _wrapped(note.text)]
        lines += [f"  {line}" for line in _dump({key: entry})]
    return lines


def _dump(value: Mapping[str, Any]) -> list[str]:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDTH).splitlines()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)


def report(draft: Draft, title: str, docs: str) -> str:
    """Return the report of a draft, as Markdown."""
    lines = [f"# Import from {title}", "", f"Its documentation: {docs}", ""]
    for kind, (heading, meaning) in _KINDS.items():
        notes = [note for note in draft.notes if note.kind == kind]
        if notes:
            lines += [f"## {heading}", "", meaning, ""]
            lines += [f"- `{_escaped(note.origin)}`: {note.text}" for note in dict.fromkeys(notes)]
            lines.append("")
    if not draft.notes:
        lines += ["Everything has a counterpart.", ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("`", "'")


def environment(draft: Draft) -> str:
    """Return a file of environment variables with the secrets that the other configuration had in clear."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(draft.secrets.items()))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
