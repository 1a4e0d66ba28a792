"""Attempts to log in: counted before the password is checked, by account and by address."""

import asyncio
from pathlib import Path

import pytest

from fakes.access import create_user
from fakes.control import ControlPlane, control_plane
from integration.gateway import run
from pointsman.control.access import attempts
from pointsman.control.access.changes import AccessChange, change
from pointsman.control.answers.logins import NOBODY
from pointsman.control.inquiries.logins import LoginAttempt, LoginVerdict


async def attempt(plane: ControlPlane, account: str, address: str = "192.0.2.1") -> float:
    (verdict,) = await plane.services.control.ask(LoginAttempt(account, address), LoginVerdict)
    assert not verdict.problem
    return verdict.wait_s


def test_attempts_at_once_do_not_pass_the_limit(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            waits = await asyncio.gather(*(attempt(plane, "a", f"192.0.2.{number}") for number in range(12)))
            assert sum(wait == 0 for wait in waits) == attempts.OF_ACCOUNT

    run(main())


def test_addresses_of_one_subscriber_count_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            waits = [await attempt(plane, f"a{number}", f"2001:db8::{number:x}") for number in range(25)]
            assert sum(wait == 0 for wait in waits) == attempts.OF_ADDRESS
            assert await attempt(plane, "a", "2001:db8:0:1::1") == 0

    run(main())


def test_locks_get_longer_and_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("pointsman.control.access.changes.time", lambda: now[0])

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            waits: list[float] = []
            for _ in range(5):
                assert await attempt(plane, "a") == 0
            for _ in range(4):
                waits.append(await attempt(plane, "a"))
                now[0] += waits[-1]
                assert await attempt(plane, "a") == 0, "one more attempt after each lock"
            assert waits == [30, 60, 120, 240]
            now[0] += attempts.WINDOW_S + 600
            for _ in range(5):
                assert await attempt(plane, "a") == 0

    run(main())


async def forget(one: AccessChange) -> str:
    await attempts.forget_attempts(one, "vera", "192.0.2.1")
    return ""


def test_success_forgets_the_account_and_one_attempt_of_the_address(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            await create_user(plane, "vera")
            parts = plane.inquiry_handler.parts
            for _ in range(40):
                assert await attempt(plane, "vera") == 0
                await change(parts, NOBODY, forget)
            for number in range(20):
                assert await attempt(plane, f"a{number}") == 0
            assert await attempt(plane, "b") > 0

    run(main())
