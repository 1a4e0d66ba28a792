"""The JSON Schema of the configuration file, for editors and other tools: made from the types that read the file."""

from typing import Any

from pointsman.config.schema import Document
from pointsman.providers import PROVIDERS
from pointsman.routing.strategies import STRATEGIES


def document_schema() -> dict[str, Any]:
    """Return the schema, with the provider types and strategies of this version as closed lists."""
    schema = Document.model_json_schema(mode="validation")
    definitions: dict[str, dict[str, Any]] = schema["$defs"]
    for definition in (schema, *definitions.values()):
        for field in definition.get("properties", {}).values():
            _close_names(field)
    for section in ("RoutingSettings", "ModelSettings", "VirtualKeySettings"):
        _state(definitions[section]["properties"]["strategy"], sorted(STRATEGIES))
    _state(definitions["StrategySettings"]["properties"]["name"], sorted(STRATEGIES))
    _state(definitions["ProviderSettings"]["properties"]["type"], sorted(PROVIDERS))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _close_names(field: dict[str, Any]) -> None:
    """Close a map by name to names outside the pattern."""
    if "patternProperties" in field:
        field["additionalProperties"] = False


def _state(field: dict[str, Any], names: list[str]) -> None:
    for option in field.get("anyOf", [field]):
        if option.get("type") == "string":
            option.pop("pattern", None)
            option["enum"] = names
