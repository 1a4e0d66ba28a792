"""Amazon's own description of Bedrock's API, with which requests and answers are checked."""

import json
import re
from base64 import b64decode
from functools import cache
from typing import Any

from botocore import session
from botocore.model import Shape
from botocore.validate import ParamValidator


@cache
def _operation(name: str) -> Any:
    return session.Session().get_service_model("bedrock-runtime").operation_model(name)


def control_operation(name: str) -> Any:
    """Return Amazon's description of an operation of Bedrock's control plane."""
    return session.Session().get_service_model("bedrock").operation_model(name)


def problems_of_request(body: dict[str, Any], operation: str = "Converse", model: str = "amazon.nova-pro-v1:0") -> str:
    """Return the faults of a request's body; an empty text if it has none."""
    shape = _operation(operation).input_shape
    found = _faults({"modelId": model, **body}, shape, "$")
    report = ParamValidator().validate({"modelId": model, **_native(body, shape)}, shape).generate_report()
    return "\n".join([*found, *([report] if report else [])])


def problems_of_answer(body: dict[str, Any], operation: str = "Converse") -> str:
    """Return the faults of an answer's body; an empty text if it has none."""
    shape = _operation(operation).output_shape
    report: str = ParamValidator().validate(_native(body, shape), shape).generate_report()
    return "\n".join([*_faults(body, shape, "$"), *([report] if report else [])])


def _native(value: Any, shape: Shape) -> Any:
    """Return a JSON value as botocore takes it: blobs are bytes."""
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        return {k: _native(v, shape.members[k]) if k in shape.members else v for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_native(one, shape.member) for one in value]
    return b64decode(value, validate=True) if shape.type_name == "blob" and isinstance(value, str) else value


def _faults(value: Any, shape: Shape, place: str) -> list[str]:
    """Return the faults that botocore leaves to the server: unknown fields, words of a list, and patterns."""
    if getattr(shape, "is_document_type", False):
        return []
    if shape.type_name == "structure" and isinstance(value, dict):
        return [
            fault
            for name, one in value.items()
            for fault in (
                _faults(one, shape.members[name], f"{place}.{name}")
                if name in shape.members
                else [f"{place}: unknown field {name}"]
            )
        ]
    if shape.type_name == "list" and isinstance(value, list):
        return [fault for at, one in enumerate(value) for fault in _faults(one, shape.member, f"{place}[{at}]")]
    if isinstance(value, str) and (words := getattr(shape, "enum", None)) and value not in words:
        return [f"{place}: {value!r} is none of {words}"]
    pattern = shape.metadata.get("pattern")
    if isinstance(value, str) and pattern and re.fullmatch(pattern, value) is None:
        return [f"{place}: {json.dumps(value)} does not match {pattern}"]
    return []
