"""Writes the reference pages and other generated files. With `--check`, lists the outdated ones.

Run as `python -m tests.repo.generated` from the root of the repository (`make docs`).
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import create_engine, text

from pointsman.cli import build_app
from pointsman.config.json_schema import document_schema
from pointsman.control.store.database import NEWEST, run_migrations
from pointsman.domain.failures import KINDS, Fault
from pointsman.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
NOTICE = "<!-- Made from the code by `make docs`. Changes belong there. -->\n"


def main() -> int:
    files = {
        REFERENCE / "config.schema.json": json.dumps(document_schema(), indent=2) + "\n",
        REFERENCE / "config.md": config_page(),
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "errors.md": errors_page(),
        REFERENCE / "providers.md": providers_page(),
        NEWEST: newest_schema(),
    }
    stale = [path for path, text in files.items() if _read(path) != text]
    if sys.argv[1:] == ["--check"]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run `make docs`")
        return 1 if stale else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(files[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def newest_schema() -> str:
    """Return the schema that the migrations create in an empty SQLite database."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        run_migrations(connection)
        made = (
            connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"))
            .scalars()
            .all()
        )
        (version,) = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
    engine.dispose()
    statements = [*made, f"INSERT INTO alembic_version (version_num) VALUES ('{version}')"]
    return ";\n".join(statements) + ";\n"


# The configuration file.

Schema = dict[str, Any]


def config_page() -> str:
    schema = document_schema()
    definitions: dict[str, Schema] = schema["$defs"]
    lines = [
        NOTICE,
        "# The configuration file\n",
        "The file is YAML. Unknown fields are errors. `pointsman check FILE` reports every problem. With",
        "[config.schema.json](config.schema.json), editors do so too: put this line at the top of the file:\n",
        "```yaml\n# yaml-language-server: $schema=docs/reference/config.schema.json\n```\n",
        "Do not put secrets in it: `env.NAME` reads an environment variable, `file:PATH` a file. Relative",
        "paths start at the configuration file. You choose the names in angle brackets.\n",
    ]
    for path, section in _sections("", schema, definitions):
        lines.append(f"## {path or 'The whole file'}\n")
        lines.append(f"{_one_line(section['description'])}\n")
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        required = section.get("required", [])
        for name, field in section["properties"].items():
            default = "**required**" if name in required else _default(field)
            meaning = _one_line(_meaning(field, definitions))
            lines.append(f"| `{name}` | {_kind(field, definitions)} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _sections(path: str, section: Schema, definitions: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """Return every section of the file with its path, outer ones first."""
    yield path, section
    for name, field in section["properties"].items():
        place = f"{path}.{name}" if path else name
        for suffix, inner in _inner_sections(field, definitions):
            yield from _sections(f"{place}{suffix}", inner, definitions)


def _inner_sections(field: Schema, definitions: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    for option in [field, *field.get("anyOf", [])]:
        if "$ref" in option:
            yield "", definitions[option["$ref"].rpartition("/")[2]]
    values = [*field.get("patternProperties", {}).values()]
    for value in values:
        for suffix, inner in _inner_sections(value, definitions):
            yield f".<name>{suffix}", inner
    if "items" in field:
        for suffix, inner in _inner_sections(field["items"], definitions):
            yield f"[]{suffix}", inner


def _kind(field: Schema, definitions: dict[str, Schema]) -> str:
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    return " or ".join(dict.fromkeys(_plain_kind(option, definitions) for option in options))


def _plain_kind(field: Schema, definitions: dict[str, Schema]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return "one of " + ", ".join(f"`{name}`" for name in field["enum"])
    if "$ref" in field:
        return "mapping"
    match field.get("type"):
        case "array":
            items = _kind(field["items"], definitions)
            return f"list of ({items})" if " or " in items else f"list of {items}"
        case "object":
            values = [_kind(value, definitions) for value in field.get("patternProperties", {}).values()]
            return f"map of {' or '.join(values)} by name"
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case "integer":
            return f"whole number{_bounds(field)}"
        case _:
            return f"number{_bounds(field)}"


def _meaning(field: Schema, definitions: dict[str, Schema]) -> str:
    """Return the description of a field, or that of its section if the field has none."""
    if "description" not in field and "$ref" in field:
        field = definitions[field["$ref"].rpartition("/")[2]]
    return str(field.get("description", ""))


def _bounds(field: Schema) -> str:
    parts = []
    if "minimum" in field:
        parts.append(f"≥ {field['minimum']:g}")
    if "exclusiveMinimum" in field:
        parts.append(f"> {field['exclusiveMinimum']:g}")
    if "maximum" in field:
        parts.append(f"≤ {field['maximum']:,}")
    return f" {', '.join(parts)}" if parts else ""


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or value in ({}, []) or isinstance(value, dict):
        return ""
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# The command line.


def cli_page() -> str:
    group: Any = typer.main.get_command(build_app())
    lines = [NOTICE, "# The command line\n"]
    for name, command in group.commands.items():
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        options = [param for param in command.params if param.param_type_name == "option" and param.name != "help"]
        usage = " ".join(
            ["pointsman", name, *(["[OPTIONS]"] if options else []), *[f"[{_metavar(p)}]" for p in arguments]]
        )
        lines += [f"## {name}\n", f"```\n{usage}\n```\n", f"{command.help.strip()}\n"]
        if arguments or options:
            lines += ["| option | meaning |", "|---|---|"]
            lines += [f"| `{_metavar(param)}` | {_one_line(param.help or '')} |" for param in arguments]
            lines += [f"| `{', '.join(param.opts)}` | {_option_help(param)} |" for param in options]
            lines.append("")
    return "\n".join(lines)


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _option_help(param: Any) -> str:
    text = _one_line(param.help or "")
    default = param.default
    return f"{text} Default: `{default}`." if default not in (None, False, (), []) else text


# Errors.

FAULTS = {
    Fault.REQUEST: "the request",
    Fault.PROVIDER: "the provider, or the connection to it",
    Fault.QUOTA: "a provider's rate limit",
    Fault.CREDENTIAL: "a provider key",
    Fault.CLIENT: "the client's connection",
    Fault.GATEWAY: "the gateway's own rules or state",
}


def errors_page() -> str:
    lines = [
        NOTICE,
        "# Errors\n",
        'Every error has OpenAI\'s format, `{"error": {"message", "type", "param", "code"}}`, and one of',
        "these codes. The message gives the cause and ends with the request id. If a provider rejected the request,",
        "the answer has the provider's status and message.\n",
        "| code | status | type | fault |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{kind.code}` | {kind.status} | `{kind.type}` | {FAULTS[kind.fault]} |"
        for kind in sorted(KINDS.values(), key=lambda kind: (kind.status, kind.code))
    ]
    return "\n".join(lines) + "\n"


# Providers.


def providers_page() -> str:
    lines = [
        NOTICE,
        "# Providers\n",
        "A provider with one of these names needs no `type` in the configuration. For any other name, set `type`.\n",
        "| name | provider | address | usual variable | operations |",
        "|---|---|---|---|---|",
    ]
    for provider in PROVIDERS.values():
        operations = ", ".join(sorted(operation for operation in provider.operations))
        title = f"[{provider.title}]({provider.docs})" if provider.docs else provider.title
        address = f"`{provider.base_url}`" if provider.base_url else "set `base_url`"
        variable = f"`{provider.key_env}`" if provider.key_env else "none"
        lines.append(f"| `{provider.name}` | {title} | {address} | {variable} | {operations} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
