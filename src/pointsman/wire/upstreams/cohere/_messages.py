"""The messages of a request for Cohere, made of the turns of a conversation.

https://docs.cohere.com/reference/chat (`messages`), https://docs.cohere.com/docs/tool-use-overview

- Only the first message may have instructions, so later ones move there.
- The text beside calls of tools is `tool_plan`. The reader of answers returns a plan as text, so it comes back here.
- A result of a tool is a message of its own. An error has no mark, so its text must show it.
- Reasoning is left out: Cohere signs none, and its models do not need that of earlier turns.
"""

from collections.abc import Sequence

from pointsman.domain.conversations import (
    Audio,
    Conversation,
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
from pointsman.domain.urls import described

Fields = dict[str, object]

# https://docs.cohere.com/docs/image-inputs
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_SEPARATOR = "\n\n"


class CohereMessages:
    """Writes turns. `cannot` has the parts that Cohere has no form for."""

    def __init__(self) -> None:
        self.messages: list[Fields] = []
        self.cannot: dict[str, None] = {}

    def write(self, conversation: Conversation) -> None:
        """Write all turns."""
        system = [text.text for text in conversation.system if text.text]
        for turn in conversation.turns:
            if turn.name:
                self.cannot[f"the name {turn.name!r} of a message"] = None
            if turn.role == "assistant":
                self._assistant(turn)
            elif turn.role == "system":
                system += self._texts(turn.parts, "the instructions")
            else:
                self._user(turn)
        if not self.messages:
            self.cannot["a conversation without a message of the user"] = None
        if system:
            self.messages.insert(0, {"role": "system", "content": _SEPARATOR.join(system)})

    def _assistant(self, turn: Turn) -> None:
        text = "".join(self._texts(turn.parts, "a turn of the assistant"))
        calls = [self._call(part) for part in turn.parts if isinstance(part, ToolCall)]
        if calls:
            plan = {"tool_plan": text} if text else {}
            self.messages.append({"role": "assistant", **plan, "tool_calls": calls})
        elif text:  # Cohere rejects a message without content
            self.messages.append({"role": "assistant", "content": text})

    def _texts(self, parts: Sequence[Part], place: str) -> list[str]:
        found = []
        for part in parts:
            if isinstance(part, Text | Refusal):
                found += [part.text] if part.text else []
            elif not isinstance(part, Reasoning | ToolCall):
                self.cannot[f"{_title(part)} in {place}"] = None
        return found

    def _user(self, turn: Turn) -> None:
        others: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                self._say(others)
                others = []
                self._result(part)
            else:
                others.append(part)
        self._say(others)

    def _say(self, parts: Sequence[Part]) -> None:
        """Write a message of the user, if it has any content."""
        written = [found for part in parts if (found := self._part(part))]
        if len(written) == 1 and written[0]["type"] == "text":
            self.messages.append({"role": "user", "content": written[0]["text"]})
        elif written:
            self.messages.append({"role": "user", "content": written})

    def _part(self, part: Part) -> Fields:
        if isinstance(part, Text | Refusal):
            return {"type": "text", "text": part.text} if part.text else {}
        if isinstance(part, Image):
            return self._image(part)
        if isinstance(part, DocumentPart) and part.text:
            name = f"{part.name}{_SEPARATOR}" if part.name else ""
            return {"type": "text", "text": name + part.text}
        if not isinstance(part, Reasoning):
            self.cannot[_title(part)] = None
        return {}

    def _image(self, image: Image) -> Fields:
        kind = "image/jpeg" if image.media_type == "image/jpg" else image.media_type
        if not image.url and kind not in _IMAGES:
            self.cannot[f"an image of type {kind or 'unknown'}"] = None
        written: Fields = {"url": image.url or f"data:{kind};base64,{image.data}"}
        if image.detail:
            written["detail"] = image.detail
        return {"type": "image_url", "image_url": written}

    def _call(self, call: ToolCall) -> Fields:
        if call.is_custom:
            self.cannot[f"a call of the custom tool {call.name!r}"] = None
        function = {"name": call.name, "arguments": call.arguments if call.arguments.strip() else "{}"}
        return {"id": call.id, "type": "function", "function": function}

    def _result(self, result: ToolResult) -> None:
        written = [found for part in result.parts if (found := self._part(part))]
        if any(found["type"] != "text" for found in written):
            self.cannot["an image in the result of a tool"] = None
        content: object = written if len(written) > 1 else written[0].get("text") if written else ""
        self.messages.append({"role": "tool", "tool_call_id": result.call_id, "content": content})


def _title(part: Part) -> str:
    """Return the words for a part in a message."""
    match part:
        case Image():
            return "an image"
        case Audio():
            return "a recording"
        case DocumentPart():
            return (
                f"a document at {described(part.url)}"
                if part.url
                else f"a document of type {part.media_type or 'unknown'}"
            )
        case _:
            return f"a part of type {type(part).__name__.lower()}"
