"""Callers of the admin API: users with sessions, and service tokens."""

from typing import Any

import httpx
from argon2 import PasswordHasher
from msgspec import Struct

from fakes.control import TOKEN, ControlPlane
from pointsman.admin.passwords import Passwords

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "a long enough password"
ADMIN = {"authorization": f"Bearer {TOKEN}"}


class Credential(Struct):
    """The headers of a caller, and its id or name."""

    name: str
    headers: dict[str, str]

    def using(self, **headers: str) -> dict[str, str]:
        return {**self.headers, **headers}


def roles(*given: str) -> list[dict[str, str]]:
    """Return the fields of roles, each written as `ROLE` or `ROLE@SCOPE`."""
    return [{"role": one.partition("@")[0], "scope": one.partition("@")[2] or "*"} for one in given]


async def create_user(plane: ControlPlane, name: str, *given: str, by: dict[str, str] | None = None) -> str:
    """Make a user with the usual password. Return its id."""
    plane.services.logins.passwords = Passwords(QUICK)
    body = {"name": name, "password": PASSWORD, "roles": roles(*given)}
    answer = await plane.client.post("/api/v1/users", json=body, headers=by or ADMIN)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def try_login(plane: ControlPlane, name: str, password: str = PASSWORD, **fields: Any) -> httpx.Response:
    """Try to log in, without keeping the cookie."""
    body = {"name": name, "password": password, **fields}
    answer = await plane.client.post("/api/v1/login", json=body)
    plane.client.cookies.clear()
    return answer


async def log_in(plane: ControlPlane, name: str, password: str = PASSWORD, **fields: Any) -> Credential:
    """Log in, and return the headers of the session."""
    answer = await try_login(plane, name, password, **fields)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"].partition(";")[0]
    return Credential(answer.json()["id"], {"cookie": cookie, "x-pointsman-csrf": answer.json()["csrf"]})


async def user(plane: ControlPlane, name: str, *given: str) -> Credential:
    """Make a user, and return a session of it."""
    await create_user(plane, name, *given)
    return await log_in(plane, name)


async def token(
    plane: ControlPlane, name: str, *given: str, days: float = 1, by: dict[str, str] | None = None
) -> Credential:
    """Make a service token."""
    body = {"name": name, "roles": roles(*given), "days": days}
    answer = await plane.client.post("/api/v1/tokens", json=body, headers=by or ADMIN)
    assert answer.status_code == 201, answer.text
    return Credential(name, {"authorization": f"Bearer {answer.json()['token']}"})
