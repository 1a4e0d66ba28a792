"""The rules of Anthropic's API for a conversation, which a strict provider checks before it answers.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking,
https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
"""

import re
from typing import Any, Literal

from msgspec import Struct

from pointsman.simulate.answers import RequestContext
from pointsman.simulate.anthropic_errors import invalid
from pointsman.simulate.model import is_sealed

_ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
_REASONING = ("thinking", "redacted_thinking")
_OF_USERS = ("text", "image", "document", "search_result", "tool_result", "container_upload")
_OF_ASSISTANTS = (*_REASONING, "text", "tool_use", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result")
_MUST_BEGIN = (
    "messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is"
    " enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of"
    " `tool_use` and `tool_result` blocks)."
)
_NO_RESULT = (
    "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block"
    " must have a corresponding `tool_result` block in the next message."
)
_NO_USE = (
    "messages.{}.content.{}: unexpected `tool_use_id` found in `tool_result` blocks: {}. Each `tool_result` block must"
    " have a corresponding `tool_use` block in the previous message."
)


class Message(Struct):
    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return [{"type": "text", "text": self.content}] if isinstance(self.content, str) else self.content

    @property
    def prefill(self) -> str | None:
        """The text at the end of a turn of the assistant, if it has one."""
        if self.role != "assistant" or not self.blocks or self.blocks[-1].get("type") != "text":
            return None
        return "".join(str(block["text"]) for block in self.blocks if block.get("type") == "text")

    def ids(self, kind: str, field: str) -> list[str]:
        """Return the ids in the blocks of a type."""
        return [str(block.get(field)) for block in self.blocks if block.get("type") == kind]


def check_messages(context: RequestContext, messages: list[Message], *, must_think: bool) -> None:
    """Raise `Rejected` if the conversation breaks a rule. With `must_think`, the last turn of the model must begin with
    its reasoning if a result of a call follows it."""
    if not messages:
        raise invalid("messages: at least one message is required")
    if messages[0].role != "user":
        raise invalid('messages: first message must use the "user" role')
    previous: list[str] = []
    for at, message in enumerate(messages):
        _check_blocks(context, at, message)
        results = message.ids("tool_result", "tool_use_id")
        for place, block in enumerate(message.blocks):
            if block.get("type") == "tool_result" and str(block.get("tool_use_id")) not in previous:
                raise invalid(_NO_USE.format(at, place, block.get("tool_use_id")))
        missing = [name for name in previous if name not in results]
        if missing:
            raise invalid(_NO_RESULT.format(at - 1, ", ".join(missing)))
        previous = message.ids("tool_use", "id")
    if previous:
        raise invalid(_NO_RESULT.format(len(messages) - 1, ", ".join(previous)))
    if must_think and len(messages) > 1 and messages[-1].ids("tool_result", "tool_use_id"):
        begin = messages[-2].blocks[0].get("type")
        if begin not in _REASONING:
            raise invalid(_MUST_BEGIN.format(len(messages) - 2, begin))


def _check_blocks(context: RequestContext, at: int, message: Message) -> None:
    if not message.content:
        raise invalid(f"messages.{at}: {message.role} messages must have non-empty content")
    allowed = _OF_USERS if message.role == "user" else _OF_ASSISTANTS
    uses = message.ids("tool_use", "id")
    if len(set(uses)) < len(uses):
        raise invalid(f"messages.{at}: `tool_use` ids must be unique")
    for number, block in enumerate(message.blocks):
        kind, place = block.get("type"), f"messages.{at}.content.{number}"
        if kind not in allowed:
            raise invalid(f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
        if kind == "text" and not block.get("text"):
            raise invalid("messages: text content blocks must be non-empty")
        if kind == "tool_use":
            _check_use(block, place)
        elif kind in _REASONING:
            _check_reasoning(context, block, place)


def _check_use(block: dict[str, Any], place: str) -> None:
    if not _ID.match(str(block.get("id", ""))):
        raise invalid(f"{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not isinstance(block.get("input"), dict):
        raise invalid(f"{place}.tool_use.input: Input should be a valid dictionary")


def _check_reasoning(context: RequestContext, block: dict[str, Any], place: str) -> None:
    """Check that reasoning is this provider's own, and unchanged."""
    kind = str(block["type"])
    if kind == "thinking":
        is_own = is_sealed(context, kind, str(block.get("thinking", "")), block.get("signature"))
        field = "signature"
    else:
        is_own = is_sealed(context, kind, "", block.get("data"))
        field = "data"
    if not is_own:
        raise invalid(f"{place}: Invalid `{field}` in `{kind}` block")
