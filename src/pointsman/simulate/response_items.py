"""The rules of the Responses API for the items of an input: results belong to calls, and reasoning to its provider."""

import re
from base64 import b64decode, b64encode
from typing import Any

from pointsman.simulate.answers import Rejected, RequestContext, error
from pointsman.simulate.model import is_sealed, seal

SEALED = "reasoning.encrypted_content"  # the value of `include` that asks for it
_KIND = "reasoning"
_CALL_ID = re.compile(r".{1,64}\Z", re.DOTALL)


def sealed_content(context: RequestContext, text: str) -> str:
    """Return reasoning that only this provider can read."""
    hidden = b64encode(text.encode("utf-8", "surrogatepass")).decode()
    return f"{hidden}.{seal(context, _KIND, text)}"


def check_items(context: RequestContext, items: list[dict[str, Any]], *, is_continued: bool) -> None:
    """Raise `Rejected` if the input breaks a rule. With `is_continued`, calls may be in an earlier response."""
    called, answered = set[str](), set[str]()
    for number, item in enumerate(items):
        match item.get("type"):
            case "function_call":
                name = _call_id(item, number)
                called.add(name)
            case "function_call_output":
                name = _call_id(item, number)
                answered.add(name)
                if name not in called and not is_continued:
                    raise _rejected(f"No tool call found for function call output with call_id {name}.")
            case "reasoning":
                _check_reasoning(context, item)
            case _:
                continue
    missing = sorted(called - answered)
    if missing:
        raise _rejected(f"No tool output found for function call {missing[0]}.")


def _call_id(item: dict[str, Any], number: int) -> str:
    found = item.get("call_id")
    if not isinstance(found, str) or not _CALL_ID.match(found):
        raise _rejected(f"Invalid 'input[{number}].call_id': expected a string with a length of 1 to 64.")
    return found


def _check_reasoning(context: RequestContext, item: dict[str, Any]) -> None:
    """Check that encrypted reasoning is this provider's own. Reasoning without it must name an item that is stored."""
    content, name = item.get("encrypted_content"), item.get("id", "")
    if content is None:
        if not str(name).startswith("rs_" + context.settings.name):
            message = f"Item with id '{name}' not found. Items are not persisted when `store` is set to false."
            raise Rejected(error(404, message, param="input"))
        return
    hidden, _, found = str(content).partition(".")
    try:
        text = b64decode(hidden, validate=True).decode("utf-8", "surrogatepass")
    except ValueError:
        text = ""
    if not is_sealed(context, _KIND, text, found):
        message = (
            f"The encrypted content for item {name} could not be verified. Reason: Encrypted content could not be"
            " decrypted or parsed."
        )
        raise Rejected(error(400, message, code="invalid_encrypted_content"))


def _rejected(message: str) -> Rejected:
    return Rejected(error(400, message, param="input"))
