"""The settings of logins: kept for a moment, and while control is away."""

from typing import Any

import pytest

from integration.gateway import run
from pointsman.admin import login_parts
from pointsman.admin.login_parts import LoginParts
from pointsman.control.inquiries.console import LoginSettings
from pointsman.link.inquirer import AwayError, Inquirer


class Control(Inquirer):
    """Answers with settings that change, or not at all."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0

    async def ask(self, *_: Any, **__: Any) -> list[Any]:
        self.asked += 1
        if self.is_away:
            raise AwayError("away")
        return [LoginSettings(max_s=self.asked)]


def test_settings_are_kept_for_a_moment_and_while_control_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(login_parts, "monotonic", lambda: now[0])

    async def main() -> None:
        control, parts = Control(), LoginParts()
        control.is_away = True
        with pytest.raises(AwayError):
            await parts.settings(control)
        control.is_away = False
        assert [(await parts.settings(control)).max_s for _ in range(3)] == [2, 2, 2]
        now[0] = 6
        assert (await parts.settings(control)).max_s == 3
        now[0], control.is_away = 12, True
        assert (await parts.settings(control)).max_s == 3

    run(main())
