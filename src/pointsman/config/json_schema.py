"""The JSON Schema of the configuration file, for editors and other tools: made from the types that read the file."""

from typing import Any

import msgspec

from pointsman.alerting.api import AlertKind
from pointsman.alerting.channels import CHANNELS
from pointsman.alerting.kinds import KINDS
from pointsman.alerting.subjects import SUBJECTS
from pointsman.config.schema import Document
from pointsman.providers import PROVIDERS
from pointsman.routing.strategies import STRATEGIES


def document_schema() -> dict[str, Any]:
    """Return the schema, with the provider types and strategies of this version as enumerations."""
    schema = Document.model_json_schema(mode="validation")
    definitions: dict[str, dict[str, Any]] = schema["$defs"]
    for definition in (schema, *definitions.values()):
        for field in definition.get("properties", {}).values():
            _close_names(field)
    for section in ("RoutingSettings", "ModelSettings", "VirtualKeySettings"):
        _set_choices(definitions[section]["properties"]["strategy"], sorted(STRATEGIES))
    definitions["StrategySettings"] = _strategies(definitions["StrategySettings"]["description"])
    for kind in STRATEGIES.values():
        if kind.settings.__struct_fields__:
            (_,), added = msgspec.json.schema_components([kind.settings], ref_template="#/$defs/{name}")
            definitions |= added
    _set_choices(definitions["ProviderSettings"]["properties"]["type"], sorted(PROVIDERS))
    rule = definitions["AlertRuleSettings"]["properties"]
    _set_choices(rule["kind"], sorted(KINDS))
    _set_choices(rule["each"], sorted(SUBJECTS))
    _set_choices(definitions["ChannelSettings"]["properties"]["type"], sorted(CHANNELS))
    definitions["AlertKindSettings"] = _kinds(definitions["AlertKindSettings"]["description"])
    for one in KINDS.values():
        (_,), added = msgspec.json.schema_components([one.settings], ref_template="#/$defs/{name}")
        definitions |= added
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _strategies(description: str) -> dict[str, Any]:
    """Return the schema of a strategy with its settings: a mapping with one of the names."""
    names = {
        name: {"$ref": f"#/$defs/{kind.settings.__name__}"}
        if kind.settings.__struct_fields__
        else {"type": "object", "additionalProperties": False, "description": "This strategy has no settings."}
        for name, kind in sorted(STRATEGIES.items())
    }
    return _one_of(names, description)


def _kinds(description: str) -> dict[str, Any]:
    """Return the schema of a kind of conditions with its settings, or with the value of the first one."""
    return _one_of({name: _kind(kind) for name, kind in sorted(KINDS.items())}, description)


def _kind(kind: AlertKind) -> dict[str, Any]:
    settings = msgspec.json.schema(kind.settings)["$defs"][kind.settings.__name__]
    first = {name: value for name, value in settings["properties"][kind.first].items() if name != "default"}
    return {"anyOf": [{"$ref": f"#/$defs/{kind.settings.__name__}"}, first, {"type": "null"}]}


def _one_of(properties: dict[str, Any], description: str) -> dict[str, Any]:
    """Return the schema of a mapping with one of these properties."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _close_names(field: dict[str, Any]) -> None:
    """Close a map by name to names outside the pattern."""
    if "patternProperties" in field:
        field["additionalProperties"] = False


def _set_choices(field: dict[str, Any], names: list[str]) -> None:
    """Limit the text of a field to these names."""
    for option in field.get("anyOf", [field]):
        if option.get("type") == "string":
            option.pop("pattern", None)
            option["enum"] = names
