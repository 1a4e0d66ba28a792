"""Requests of the admin API that change users, roles or tokens."""

from typing import Annotated

from msgspec import Struct
from pydantic import Field

from pointsman.admin.problems import ApiError, FieldError
from pointsman.admin.services import Services, StrictModel
from pointsman.control.inquiries.access import AccessOutcome
from pointsman.control.store.database import StoreError
from pointsman.domain.rights import EVERYTHING, RoleGrant

_STATUSES = {
    "not_found": 404,
    "conflict": 409,
    "changed": 412,
    "forbidden": 403,
    "invalid": 422,
    "unauthorized": 401,
    "key_reused": 422,
}


class RoleField(StrictModel):
    """A role for a scope: `*`, `customer:NAME`, `team:NAME` or `virtual_key:NAME`."""

    role: Annotated[str, Field(max_length=64)]
    scope: Annotated[str, Field(max_length=300)] = EVERYTHING


RolesField = Annotated[list[RoleField], Field(max_length=100)]


def grants_of(roles: list[RoleField]) -> tuple[RoleGrant, ...]:
    """Return each role and scope once."""
    return tuple(sorted({RoleGrant(one.role, one.scope) for one in roles}))


async def ask(services: Services, inquiry: Struct) -> AccessOutcome:
    """Have control make a change. Raises `ApiError` and `StoreError`."""
    await services.state()  # fails at once if control is away
    (outcome,) = await services.control.ask(inquiry, AccessOutcome)
    if not outcome.code:
        return outcome
    if outcome.code == "unavailable":
        raise StoreError(outcome.problem)
    code = "invalid_request" if outcome.code == "invalid" else outcome.code
    prefix = f"{outcome.field}: " if outcome.field else ""
    errors = [FieldError(outcome.field, outcome.problem)] if outcome.field else []
    raise ApiError(_STATUSES[outcome.code], code, prefix + outcome.problem, errors=errors)
