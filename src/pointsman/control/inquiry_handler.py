"""Answers the inquiries of the admin process."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Union, cast

import msgspec
from msgspec.structs import replace

from pointsman.control.parts import AT_ONCE, Answers, ControlParts
from pointsman.link.frames import FromControl, Inquiry, Reply
from pointsman.registry import members

ANSWERS = "pointsman.control.answers"

_ENCODER = msgspec.msgpack.Encoder()
_logger = logging.getLogger(__name__)


class InquiryHandler:
    """Answers an inquiry by the file of its kind in `control.answers`."""

    def __init__(self, parts: ControlParts) -> None:
        self.parts = parts
        self._answers = {
            kind: answer for _, found in members(ANSWERS, "ANSWERS") for kind, answer in cast("Answers", found).items()
        }
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Union[tuple(self._answers)])  # noqa: UP007

    async def answer(self, inquiry: Inquiry, send: Callable[[FromControl], None]) -> None:
        """Send the answer, in parts."""
        number = inquiry.number
        try:
            found = self._decoder.decode(inquiry.body)
            items = await self._answers[type(found)](found, replace(self.parts, actor=inquiry.actor))
        except Exception:  # the admin process must not wait for an answer
            _logger.exception("cannot answer an inquiry of the admin process")
            send(Reply(number, b"", True, "the control process failed to answer; its log says why"))
            return
        for first in range(0, len(items) or 1, AT_ONCE):
            part = _ENCODER.encode(items[first : first + AT_ONCE])
            send(Reply(number, part, first + AT_ONCE >= len(items)))
            await asyncio.sleep(0)
