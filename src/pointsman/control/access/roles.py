"""Changes of roles and service tokens."""

import re

from sqlalchemy import delete, insert

from pointsman.control.access.changes import AccessChange, check_name, refusal
from pointsman.control.inquiries.access import CreateServiceToken, DeleteRole, DeleteServiceToken, SetRole
from pointsman.control.store.access_queries import permissions_text
from pointsman.control.store.access_tables import ROLES, SERVICE_TOKENS
from pointsman.domain.permissions import IMPLIED, Permission
from pointsman.domain.permissions import ROLES as BUILT_IN
from pointsman.domain.users import token_holder

MAX_ROLES = 200
MAX_TOKENS = 10_000
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


async def set_role(change: AccessChange, inquiry: SetRole) -> str:
    """Make a role, or replace it. Its holders get the new permissions, so the author needs the old and the new ones."""
    name, permissions = inquiry.name, inquiry.permissions - IMPLIED
    if not _NAME.fullmatch(name):
        raise refusal("invalid", "must be 1 to 64 of a-z, 0-9 and -, and begin with a letter", "name")
    if name in BUILT_IN:
        raise refusal("conflict", f"{name!r} is a built-in role and cannot be changed; choose another name", "name")
    if not permissions:
        raise refusal("invalid", f"choose at least one of {', '.join(sorted(Permission))}", "permissions")
    change.must_hold(permissions)
    known = {one.name: one for one in await change.queries.custom_roles()}
    if name in known:
        change.must_hold(known[name].permissions)
    elif len(known) >= MAX_ROLES:
        raise refusal("conflict", f"there are {MAX_ROLES} roles already; delete one first")
    await change.execute(delete(ROLES).where(ROLES.c.name == name))
    values = {"name": name, "permissions": permissions_text(permissions), "note": inquiry.note}
    await change.execute(insert(ROLES).values(**values))
    return name


async def delete_role(change: AccessChange, inquiry: DeleteRole) -> str:
    """Delete a role that nobody has."""
    if inquiry.name in BUILT_IN:
        raise refusal("conflict", f"{inquiry.name!r} is a built-in role and cannot be deleted")
    known = {one.name: one for one in await change.queries.custom_roles()}
    if inquiry.name not in known:
        raise refusal("not_found", f"there is no role {inquiry.name!r}")
    change.must_hold(known[inquiry.name].permissions)
    holders = await change.queries.holders(inquiry.name)
    if holders:
        raise refusal("conflict", f"{holders} users or tokens have the role {inquiry.name!r}; take it from them first")
    await change.execute(delete(ROLES).where(ROLES.c.name == inquiry.name))
    return inquiry.name


async def create_token(change: AccessChange, inquiry: CreateServiceToken) -> str:
    """Make a service token. One that a service token makes ends with it at the latest."""
    check_name(inquiry.name)
    if not inquiry.grants:
        raise refusal("invalid", "choose at least one role", "grants")
    await change.may_give(inquiry.grants)
    until = inquiry.author.until
    if until is not None and inquiry.expires_at > until:
        raise refusal("forbidden", "a token cannot make another one that outlives it; choose an earlier end", "days")
    tokens = await change.queries.tokens()
    if len(tokens) >= MAX_TOKENS:
        raise refusal("conflict", f"there are {MAX_TOKENS} service tokens already; delete some of them first")
    if any(one.name == inquiry.name for one in tokens):
        raise refusal("conflict", f"there is a service token {inquiry.name!r} already", "name")
    values = {"name": inquiry.name, "digest": inquiry.digest, "author": inquiry.author.name}
    values_at = {"created_at": change.now, "expires_at": inquiry.expires_at}
    await change.execute(insert(SERVICE_TOKENS).values(**values, **values_at))
    await change.set_grants(token_holder(inquiry.name), inquiry.grants)
    return inquiry.name


async def delete_token(change: AccessChange, inquiry: DeleteServiceToken) -> str:
    """Revoke a service token: it stops at once."""
    if await change.queries.token(inquiry.name) is None:
        raise refusal("not_found", f"there is no service token {inquiry.name!r}")
    await change.drop_grants(token_holder(inquiry.name))
    await change.execute(delete(SERVICE_TOKENS).where(SERVICE_TOKENS.c.name == inquiry.name))
    return inquiry.name
