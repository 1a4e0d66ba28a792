"""A conversation as the `input` of a request to a provider.

https://platform.openai.com/docs/api-reference/responses/create (`input`). Three details are left out. Marks of a
prefix to be cached: the server caches by itself, and rejects marks for most models. The mark of a result that it is an
error: its text says so instead. The name of a file that is sent by its address: the server takes the address's.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from pointsman.domain.conversations import (
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from pointsman.wire.dialects.openai_responses._shapes import NAME
from pointsman.wire.openai_chat.write_request import NO_DOCUMENTS

MAX_ID = 64  # characters of the id of a call

# A file is sent with a name that shows its type. https://developers.openai.com/api/docs/guides/file-inputs
_EXTENSIONS = {"application/pdf": ".pdf", "text/markdown": ".md", "text/csv": ".csv", "text/html": ".html"}


class InputWriter:
    """Writes turns as items. `cannot` are the parts that have no item."""

    def __init__(self) -> None:
        self.items: list[dict[str, object]] = []
        self.cannot: list[str] = []
        self._parts: list[dict[str, object]] = []  # of the message that is being written

    def write(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            if turn.name:
                self.cannot.append("the `name` of a message")
            for part in turn.parts:
                self._part(part, turn)
            self._close(turn)

    def _part(self, part: Part, turn: Turn) -> None:
        match part:
            case ToolCall():
                self._item(_call(part), turn)
            case ToolResult():
                self._item(_result(part), turn)
            case Reasoning():
                if part.origin == NAME and part.signature:  # without proof, the server looks for a stored item
                    self._item(_reasoning(part), turn)
            case Refusal() if turn.role == "assistant":
                self._parts.append({"type": "refusal", "refusal": part.text})
            case Refusal():
                self._parts.append({"type": "input_text", "text": part.text})
            case Text():
                kind = "output_text" if turn.role == "assistant" else "input_text"
                self._parts.append({"type": kind, "text": part.text})
            case Image() | DocumentPart() if turn.role != "assistant":
                self._note(part)
                self._parts.append(_media(part))
            case _:
                kind = type(part).__name__.removesuffix("Part").lower()
                self.cannot.append(f"a part of type {kind} in a message of the role {turn.role}")

    def _note(self, part: Part) -> None:
        """Note a part that is no document, which a file must be."""
        if isinstance(part, DocumentPart) and part.media_type.startswith(NO_DOCUMENTS):
            self.cannot.append(f"a document of type {part.media_type}")

    def _item(self, item: dict[str, object], turn: Turn) -> None:
        self._close(turn)
        self.items.append(item)

    def _close(self, turn: Turn) -> None:
        parts, self._parts = self._parts, []
        if not parts:
            return
        is_text = len(parts) == 1 and parts[0]["type"] in ("input_text", "output_text")
        self.items.append({"role": turn.role, "content": parts[0]["text"] if is_text else parts})


def _call(call: ToolCall) -> dict[str, object]:
    kind, field = ("custom_tool_call", "input") if call.is_custom else ("function_call", "arguments")
    return {"type": kind, "call_id": _call_id(call.id), "name": call.name, field: call.arguments}


def _result(result: ToolResult) -> dict[str, object]:
    kind = "custom_tool_call_output" if result.is_custom else "function_call_output"
    output: object
    match _told(result):
        case ():
            output = ""
        case (Text() as only,):
            output = only.text
        case parts:
            output = [_media(part) for part in parts]
    return {"type": kind, "call_id": _call_id(result.call_id), "output": output}


def _told(result: ToolResult) -> tuple[Text | Image | DocumentPart, ...]:
    """Return the parts of a result, whose text says that it is an error if it is one."""
    parts = result.parts
    said = "".join(part.text for part in parts if isinstance(part, Text))[:64].lower()
    if not result.is_error or "error" in said:
        return parts
    match parts:
        case (Text() as only,):
            return (Text(f"Error:\n\n{only.text}"),)
    return (Text("Error:"), *parts)


def _reasoning(reasoning: Reasoning) -> dict[str, object]:
    summary = [{"type": "summary_text", "text": reasoning.text}] if reasoning.text else []
    item: dict[str, object] = {"type": "reasoning", "summary": summary, "encrypted_content": reasoning.signature}
    return {**item, "id": reasoning.id} if reasoning.id else item


def _media(part: Text | Image | DocumentPart) -> dict[str, object]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            url = part.url or f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case DocumentPart(url=url) if url:
            return {"type": "input_file", "file_url": url}
    data = part.data or b64encode(part.text.encode()).decode()
    media_type = part.media_type or ("application/pdf" if part.data else "text/plain")
    name = part.name or "document"
    if "." not in name:
        name += _EXTENSIONS.get(media_type, ".txt" if media_type.startswith("text/") else "")
    return {"type": "input_file", "filename": name, "file_data": f"data:{media_type};base64,{data}"}


def _call_id(given: str) -> str:
    """Return the id of a call. One that is too long is replaced by a digest of it, the same in the call and its
    result."""
    return given if len(given) <= MAX_ID else f"call_{sha256(given.encode()).hexdigest()[:40]}"
