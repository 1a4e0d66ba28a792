"""Control's answers to the admin process come in parts, so that workers need not wait."""

from pathlib import Path

import msgspec

from fakes.control import control_plane, desk_in
from integration.gateway import run
from pointsman.control.inquiries.limits import BudgetInquiry, LimitState
from pointsman.control.inquiries.state import StateInquiry
from pointsman.control.parts import AT_ONCE
from pointsman.link.frames import FromControl, Inquiry, Reply


def test_long_answer_comes_in_parts(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            for number in range(2 * AT_ONCE + 1):
                plane.inquiry_handler.parts.lease_table.charge(7, f"virtual_key:key-{number}|usd|day", 86_400, 5)
            sent: list[FromControl] = []
            inquiry = BudgetInquiry("virtual_key:key-1", past=True, most=10)
            await plane.inquiry_handler.answer(Inquiry(3, msgspec.msgpack.encode(inquiry)), sent.append)
            (only,) = sent
            assert isinstance(only, Reply)
            assert (only.number, only.is_last, only.failure) == (3, True, None)
            (budget,) = msgspec.msgpack.decode(only.items, type=list[LimitState])
            assert (budget.owner, budget.posted, budget.limit) == ("virtual_key:key-1", 5, None)
            sent.clear()
            inquiry = BudgetInquiry(None, past=True, most=2 * AT_ONCE + 1)
            await plane.inquiry_handler.answer(Inquiry(4, msgspec.msgpack.encode(inquiry)), sent.append)
            parts = [one for one in sent if isinstance(one, Reply)]
            assert [len(msgspec.msgpack.decode(one.items)) for one in parts] == [AT_ONCE, AT_ONCE, 1]
            assert [one.is_last for one in parts] == [False, False, True]

    run(main())


def test_failed_inquiry_is_answered_and_logged(tmp_path: Path) -> None:
    """The inquiry is of another version, or control has a bug."""

    async def main() -> None:
        inquiry_handler = desk_in(tmp_path)
        sent: list[FromControl] = []
        await inquiry_handler.answer(Inquiry(1, msgspec.msgpack.encode({"type": "unheard-of"})), sent.append)
        inquiry_handler.parts.lease_server._workers[1] = None  # type: ignore[assignment]
        await inquiry_handler.answer(Inquiry(2, msgspec.msgpack.encode(StateInquiry())), sent.append)
        message = "the control process failed to answer; its log says why"
        assert sent == [Reply(1, b"", True, message), Reply(2, b"", True, message)]

    run(main())
