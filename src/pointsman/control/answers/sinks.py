"""The sinks of the request log."""

from pointsman.control.inquiries.sinks import SinksInquiry, SinkState
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.sinks import sink_states


async def _sinks(_: SinksInquiry, parts: ControlParts) -> list[SinkState]:
    return sink_states(parts.configuration.current)


ANSWERS: Answers = {SinksInquiry: _sinks}
