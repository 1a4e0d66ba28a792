"""Events of the gateway."""

from pointsman.control.inquiries.events import EventInquiry, LiveEvent
from pointsman.control.parts import Answers, ControlParts


async def _events(inquiry: EventInquiry, parts: ControlParts) -> list[LiveEvent]:
    return await parts.events.after(inquiry.after, inquiry.within_s)


ANSWERS: Answers = {EventInquiry: _events}
