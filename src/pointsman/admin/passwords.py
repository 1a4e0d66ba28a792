"""Passwords of users: argon2id, in a thread. Each takes 64 MiB for a fifth of a second, so only some run at a time."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pointsman.admin.problems import ApiError, FieldError

MIN_CHARACTERS, MAX_CHARACTERS = 12, 512
AT_ONCE = 2
MAX_WAITING = 32
T = TypeVar("T")
_NOBODY: Final = "the password of nobody"


class Passwords:
    """Hashes and compares passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._of_nobody: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of a password. Raises 503 if too many are waiting."""
        return await self._run(lambda: self._hasher.hash(password))

    async def is_right(self, hashed: str | None, password: str) -> bool:
        """Return whether a password has this hash. Without a hash it takes as long, so that the time does not show
        whether there is a user. Raises 503 if too many are waiting."""
        if hashed:
            return await self._run(lambda: self._verify(hashed, password))
        if self._of_nobody is None:
            self._of_nobody = await self.hash(_NOBODY)
        of_nobody = self._of_nobody
        await self._run(lambda: self._verify(of_nobody, password))
        return False

    async def _run(self, function: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            message = "too many passwords are being checked; try again in a moment"
            raise ApiError(503, "busy", message, headers={"retry-after": "5"})
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(function)
        finally:
            self._waiting -= 1

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def check_password(password: str) -> None:
    """Raise 422 for a password that is too short or too long."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        message = f"must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters"
        raise ApiError(422, "invalid_request", f"password: {message}", errors=[FieldError("password", message)])
