"""One-time codes: required once confirmed, each valid once, and sealed in the store."""

import time
from pathlib import Path

import pyotp
import pytest

from fakes.access import ADMIN, PASSWORD, Credential, log_in, try_login, user
from fakes.control import ControlPlane, control_plane
from integration.gateway import run
from pointsman.control.access import changes


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found = [time.time() // 30 * 30 + 1]
    monkeypatch.setattr(changes, "time", lambda: found[0])
    return found


async def post(plane: ControlPlane, path: str, caller: Credential, **body: str) -> int:
    return (await plane.client.post(f"/api/v1/me/{path}", json=body, headers=caller.headers)).status_code


async def turned_on(plane: ControlPlane, caller: Credential, now: list[float]) -> pyotp.TOTP:
    made = (await plane.client.post("/api/v1/me/totp", headers=caller.headers)).json()
    assert made["url"].startswith("otpauth://totp/Pointsman:vera?")
    codes = pyotp.TOTP(made["secret"])
    assert await post(plane, "totp/confirm", caller, secret=made["secret"], code="000000") == 422
    assert await post(plane, "totp/confirm", caller, secret="not base32 at all!", code="000000") == 422
    assert await post(plane, "totp/confirm", caller, secret=made["secret"], code=codes.at(now[0])) == 200
    return codes


def test_code_is_required_and_counts_once(tmp_path: Path, now: list[float]) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            codes = await turned_on(plane, session, now)
            stored = b"".join(path.read_bytes() for path in tmp_path.glob("pointsman.db*"))
            assert codes.secret.encode() not in stored
            missing = await try_login(plane, "vera")
            assert (missing.status_code, missing.json()["code"]) == (401, "code_required")
            assert (await try_login(plane, "vera", code=codes.at(now[0]))).status_code == 401, "it was used to confirm"
            now[0] += 30
            code = codes.at(now[0])
            assert (await try_login(plane, "vera", "a wrong password", code=code)).status_code == 401
            assert (await try_login(plane, "vera", code=f"{code[:3]} {code[3:]}")).status_code == 200
            assert (await try_login(plane, "vera", code=code)).status_code == 401, "it was used"
            now[0] += 60
            assert (await try_login(plane, "vera", code=codes.at(now[0] + 30))).status_code == 200, "a fast clock"
            assert (await try_login(plane, "vera", code=codes.at(now[0]))).status_code == 401, "an older one"

    run(main())


def test_wrong_codes_lock_the_account(tmp_path: Path, now: list[float]) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            await turned_on(plane, session, now)
            answers = [(await try_login(plane, "vera", code="000000")).status_code for _ in range(6)]
            assert answers == [401] * 5 + [429]

    run(main())


def test_codes_are_turned_off_with_the_password_or_by_an_admin(tmp_path: Path, now: list[float]) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            session = await user(plane, "vera", "viewer")
            await turned_on(plane, session, now)
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).json()["totp"]
            assert await post(plane, "totp/remove", session, password="a wrong password") == 403
            assert await post(plane, "totp/remove", session, password=PASSWORD) == 200
            session = await log_in(plane, "vera")
            now[0] += 60
            await turned_on(plane, session, now)
            body = {"totp": False}
            await plane.client.patch(f"/api/v1/users/{session.name}", json=body, headers=ADMIN)
            assert (await plane.client.get("/api/v1/me", headers=session.headers)).status_code == 401
            await log_in(plane, "vera")

    run(main())
