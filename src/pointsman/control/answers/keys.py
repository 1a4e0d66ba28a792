"""Virtual keys that are made by API."""

import asyncio
from collections.abc import Awaitable, Iterable
from heapq import merge

from pointsman.config.key_table import FileKeys
from pointsman.control.inquiries.keys import (
    DeleteKey,
    FileKey,
    KeyOutcome,
    ListFileKeys,
    MakeKeyOrder,
    MakeMemberKey,
    RotateKey,
    SetKey,
    TemplateInquiry,
)
from pointsman.control.keys import KeyRejectedError, is_in_scope
from pointsman.control.members import make_own_key, templates_in
from pointsman.control.parts import AT_ONCE, Answers, ControlParts
from pointsman.control.store.database import StoreError
from pointsman.domain.identity import AccessTemplate, KeysUnavailableError, KeyTable, VirtualKey, key_named


async def _make(order: MakeKeyOrder, parts: ControlParts) -> list[KeyOutcome]:
    return await _ended(parts.keys.make(order, parts.actor))


async def _make_for_member(order: MakeMemberKey, parts: ControlParts) -> list[KeyOutcome]:
    return await _ended(make_own_key(parts.keys, parts.configuration.current, order, parts.actor))


async def _templates(inquiry: TemplateInquiry, parts: ControlParts) -> list[AccessTemplate]:
    return templates_in(inquiry.scope, parts.configuration.current)


async def _set(order: SetKey, parts: ControlParts) -> list[KeyOutcome]:
    return await _ended(parts.keys.set(order, parts.actor))


async def _rotate(order: RotateKey, parts: ControlParts) -> list[KeyOutcome]:
    return await _ended(parts.keys.rotate(order, parts.actor))


async def _delete(order: DeleteKey, parts: ControlParts) -> list[KeyOutcome]:
    return await _ended(parts.keys.delete(order, parts.actor))


async def _ended(change: Awaitable[KeyOutcome]) -> list[KeyOutcome]:
    """Return the outcome of a change, also of a rejected one."""
    try:
        return [await change]
    except KeyRejectedError as error:
        return [KeyOutcome(code=error.code, message=str(error), faults=error.faults)]
    except StoreError as error:
        return [KeyOutcome(code="store_unavailable", message=str(error))]
    except KeysUnavailableError as error:
        return [KeyOutcome(code="not_ready", message=str(error))]


async def _file_keys(inquiry: ListFileKeys, parts: ControlParts) -> list[FileKey]:
    table = parts.configuration.current.snapshot.virtual_keys
    if inquiry.name is not None:
        is_live = isinstance(table, FileKeys) and table.live is not None and table.live.named(inquiry.name) is not None
        found = key_named(table, inquiry.name) if not is_live else None
        return [_shown(one) for one in ([found] if found is not None else []) if _is_wanted(one, inquiry)]
    own = {key.name: key for key in (table.own if isinstance(table, KeyTable) else table).values()}
    names: Iterable[str] = sorted(name for name in own if name > inquiry.after)
    if isinstance(table, FileKeys) and table.directory is not None:
        names = merge(names, table.directory.names_after(inquiry.after))
    shown: list[FileKey] = []
    for number, name in enumerate(names):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        if inquiry.text.lower() in name.lower():
            key = own.get(name) or key_named(table, name)
            if key is not None and _is_wanted(key, inquiry):
                shown.append(_shown(key))
                if len(shown) >= inquiry.limit:
                    break
    return shown


def _is_wanted(key: VirtualKey, inquiry: ListFileKeys) -> bool:
    if inquiry.team is not None and key.team != inquiry.team:
        return False
    return is_in_scope(inquiry.owners, (key.name, key.team, key.customer))


def _shown(key: VirtualKey) -> FileKey:
    limits = [str(limit) for limit in key.limits if limit.level == "virtual_key"]
    return FileKey(
        name=key.name,
        team=key.team,
        customer=key.customer,
        sha256=key.digest.hex(),
        expires_at=key.expires_at,
        labels=key.labels,
        limits=limits,
    )


ANSWERS: Answers = {
    ListFileKeys: _file_keys,
    MakeKeyOrder: _make,
    MakeMemberKey: _make_for_member,
    TemplateInquiry: _templates,
    SetKey: _set,
    RotateKey: _rotate,
    DeleteKey: _delete,
}
