"""Calls of tools as items of an answer.

Their arguments may alternate, so each call stays open until the answer has finished.
"""

from collections.abc import Mapping

from pointsman.domain.pieces import ToolArguments, ToolBegin
from pointsman.wire.dialects.openai_responses._output_log import OpenItem, OutputLog


class CallItems:
    """Writes the calls of one answer. `namespaces` are those of `namespaces.names_in`."""

    def __init__(self, log: OutputLog, namespaces: Mapping[str, tuple[str, str]]) -> None:
        self._log = log
        self._namespaces = namespaces
        self._open: dict[int, tuple[ToolBegin, OpenItem]] = {}  # by the index of the call
        self._ids: set[str] = set()

    def begin(self, piece: ToolBegin) -> None:
        if piece.index in self._open:
            return
        call_id = piece.id or f"call_{self._log.suffix}"
        if not piece.id or call_id in self._ids:  # official SDKs fail if two calls share an id
            call_id = f"{call_id}_{piece.index}"
        self._ids.add(call_id)
        call = ToolBegin(piece.index, call_id, piece.name, piece.is_custom)
        opened = self._log.open("ctc" if call.is_custom else "fc", {**self._item(call, ""), "status": "in_progress"})
        self._open[piece.index] = (call, opened)

    def add(self, piece: ToolArguments) -> None:
        found = self._open.get(piece.index)
        if found is not None and piece.text:
            call, opened = found
            opened.texts.append(piece.text)
            self._emit(call, opened, "delta", delta=piece.text)

    def close(self) -> None:
        """Complete all calls."""
        for call, opened in self._open.values():
            if not opened.texts and not call.is_custom:  # clients parse the arguments of a function in any case
                self.add(ToolArguments(call.index, "{}"))
            text = "".join(opened.texts)
            self._emit(call, opened, "done", **{_field(call): text})
            self._log.complete(opened, {**self._item(call, text), "status": self._log.item_status})
        self._open = {}

    def _item(self, call: ToolBegin, text: str) -> dict[str, object]:
        kind = "custom_tool_call" if call.is_custom else "function_call"
        item: dict[str, object] = {"type": kind, "call_id": call.id, "name": call.name, _field(call): text}
        if call.name in self._namespaces:
            item["namespace"], item["name"] = self._namespaces[call.name]
        return item

    def _emit(self, call: ToolBegin, opened: OpenItem, name: str, /, **fields: object) -> None:
        kind = "custom_tool_call_input" if call.is_custom else "function_call_arguments"
        self._log.emit(f"response.{kind}.{name}", item_id=opened.id, output_index=opened.index, **fields)


def _field(call: ToolBegin) -> str:
    return "input" if call.is_custom else "arguments"
