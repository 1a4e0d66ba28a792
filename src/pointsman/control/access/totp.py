"""One-time codes by time (RFC 6238): six digits, which change every 30 seconds. Each counts once."""

import hmac

import pyotp
from sqlalchemy import update

from pointsman.config.sealing import SealError
from pointsman.control.access.changes import AccessChange, refusal
from pointsman.control.access.secrets import of_totp, seal, unseal
from pointsman.control.inquiries.access import ConfirmTotp, DropTotp
from pointsman.control.store.access_tables import USERS
from pointsman.domain.users import LOCAL, User

_STEP_S = 30
_DRIFT = (0, -1, 1)  # steps that a clock may be wrong by


async def confirm_totp(change: AccessChange, inquiry: ConfirmTotp) -> str:
    """Require codes of a secret at logins from now on, if the user has a right one."""
    user = await change.queries.user(inquiry.id)
    if user is None or user.issuer != LOCAL:
        raise refusal("conflict", "only users with a password here have one-time codes")
    try:
        step = _step_of(inquiry.secret, inquiry.code, 0, change.now)
    except ValueError:  # no base32
        raise refusal("invalid", "this is no secret that the gateway made", "secret") from None
    if step is None:
        raise refusal("invalid", "the code is wrong; check the clock of your device", "code")
    try:
        sealed = seal(change.parts.configuration.master_keys(), inquiry.secret, of_totp(user.id))
    except SealError as error:
        raise refusal("conflict", str(error)) from None
    values = {"totp": sealed, "totp_step": step, "changed_at": change.now}
    await change.execute(update(USERS).where(USERS.c.id == user.id).values(**values))
    return user.id


async def drop_totp(change: AccessChange, inquiry: DropTotp) -> str:
    """Require no codes of a user any more."""
    values = {"totp": "", "totp_step": 0, "changed_at": change.now}
    await change.execute(update(USERS).where(USERS.c.id == inquiry.id).values(**values))
    return inquiry.id


async def check_code(change: AccessChange, user: User, code: str) -> None:
    """Raise `Refused` unless a user needs no code, or presents one that was not used before."""
    if not user.totp:
        return
    if not code:
        raise refusal("code_required", "send a one-time code too")
    try:
        secret = unseal(change.parts.configuration.master_keys(), user.totp, of_totp(user.id))
    except SealError as error:
        raise refusal("unavailable", f"one-time codes cannot be checked: {error}") from None
    step = _step_of(secret, code, user.totp_step, change.now)
    if step is None:
        raise refusal("unauthorized", "the one-time code is wrong, or was used before; wait for the next one")
    await change.execute(update(USERS).where(USERS.c.id == user.id).values(totp_step=step))


def _step_of(secret: str, code: str, used: int, now: float) -> int | None:
    """Return the number of the step that a code belongs to, if it is later than the last one that was used."""
    codes = pyotp.TOTP(secret)
    presented = "".join(code.split()).encode()
    found = None
    for drift in _DRIFT:
        step = int(now // _STEP_S) + drift
        if hmac.compare_digest(codes.generate_otp(step).encode(), presented) and step > used:
            found = step
    return found
