"""Passwords: argon2id, as slow for nobody as for a user, and bounded in number."""

import asyncio
from typing import Any

import pytest

from fakes.access import QUICK
from integration.gateway import run
from pointsman.admin import passwords
from pointsman.admin.passwords import Passwords, check_password
from pointsman.admin.problems import ApiError


def test_password_is_hashed_by_argon2id_with_its_own_salt() -> None:
    async def main() -> None:
        real = Passwords()
        hashed = await real.hash("correct horse battery")
        assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        hasher = Passwords(QUICK)
        assert await hasher.hash("a") != await hasher.hash("a")
        assert await hasher.is_right(hashed, "correct horse battery")
        assert not await hasher.is_right(hashed, "correct horse")
        assert not await hasher.is_right("no hash", "correct horse")

    run(main())


def test_user_that_does_not_exist_costs_a_comparison_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        hasher = Passwords(QUICK)
        compared: list[str] = []
        verify = hasher._verify

        def noted(hashed: str, text: str) -> bool:
            compared.append(hashed)
            return verify(hashed, text)

        monkeypatch.setattr(hasher, "_verify", noted)
        for hashed in (None, "", await hasher.hash("a")):
            await hasher.is_right(hashed, "the password of nobody")
        assert len(compared) == 3
        assert not await hasher.is_right(None, "the password of nobody")

    run(main())


def test_waiting_comparisons_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 3)

    async def main() -> None:
        hasher = Passwords(QUICK)
        found: list[Any] = await asyncio.gather(*(hasher.hash("a") for _ in range(5)), return_exceptions=True)
        refused = [one for one in found if isinstance(one, ApiError)]
        assert [one.status for one in refused] == [503, 503]
        assert (await hasher.hash("a")).startswith("$argon2id$")

    run(main())


@pytest.mark.parametrize(("password", "is_valid"), [("x" * 11, False), ("x" * 12, True), ("x" * 513, False)])
def test_length_of_a_password_is_bounded(password: str, is_valid: bool) -> None:
    if is_valid:
        check_password(password)
    else:
        with pytest.raises(ApiError, match="12 to 512"):
            check_password(password)
