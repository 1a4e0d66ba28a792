"""A part of the configuration is applied once for each change."""

import asyncio

import pytest
from msgspec import Struct

from fakes.origin import run
from pointsman.admin import configured
from pointsman.admin.configured import ended, follow
from pointsman.control.inquiries.sinks import SinksInquiry
from pointsman.link.inquirer import AwayError, Inquirer


class Scripted(Inquirer):
    """Gives these answers, one after the other, and then the last one again. `None` means that control is away."""

    def __init__(self, *answers: list[int] | None) -> None:
        super().__init__("")
        self.answers = list(answers)

    async def ask(self, inquiry: Struct, item: type, within_s: float = 0.0) -> list:  # type: ignore[type-arg]
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if found is None:
            raise AwayError("the control process is away")
        return found


def test_only_changes_are_applied_and_the_last_answer_stays_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "SETTINGS_S", 0.001)
    applied: list[list[int]] = []

    async def apply(found: list[int]) -> None:
        applied.append(found)

    async def main() -> None:
        control = Scripted([], [1], [1], None, [1], [1, 2], None, [])
        task = asyncio.create_task(follow(control, SinksInquiry(), int, apply))
        while len(control.answers) > 1 or len(applied) < 3:
            await asyncio.sleep(0.001)
        await ended(task)

    run(main())
    assert applied == [[1], [1, 2], []]
