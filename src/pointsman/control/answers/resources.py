"""Resources: made by API, or read from the configuration file."""

from functools import partial

from msgspec.structs import replace

from pointsman.control.inquiries.resources import (
    ApplyDocument,
    DocumentInquiry,
    EditedResource,
    EditOutcome,
    EditResources,
    ExportedDocument,
    ResourceInquiry,
    ResourceState,
    RollBack,
    RotateMasterKey,
    RotationOutcome,
)
from pointsman.control.key_documents import DocumentKey, changes_to, faults_under, keys_in, make_so, stored_keys
from pointsman.control.key_rotation import rotate
from pointsman.control.keys import KeyRejectedError
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.resource_book import EditError
from pointsman.control.resource_events import ChangeIntent
from pointsman.control.resource_plans import at_version, documented, edited, entries_of_keys, exported
from pointsman.control.store.database import StoreError
from pointsman.domain.identity import KeysUnavailableError


async def _edit(inquiry: EditResources, parts: ControlParts) -> list[EditOutcome]:
    asked = [(one.kind, one.name) for one in inquiry.edits]
    intent = ChangeIntent(
        author=inquiry.author,
        note=inquiry.note,
        is_dry_run=inquiry.is_dry_run,
        repeat=inquiry.repeat,
        actor=parts.actor,
    )
    return [await parts.book.change(partial(edited, parts.book, inquiry.edits), intent, asked)]


async def _apply(inquiry: ApplyDocument, parts: ControlParts) -> list[EditOutcome]:
    try:
        keys, changes = await _wanted_keys(inquiry, parts)
    except EditError as error:
        return [error.outcome]
    except StoreError as error:
        return [EditOutcome(code="store_unavailable", problem=str(error))]
    notes: list[str] = []
    intent = ChangeIntent(
        author=inquiry.author,
        note=inquiry.note,
        is_dry_run=inquiry.is_dry_run,
        check=lambda compiled: faults_under(compiled, parts.configuration.environ, keys),
        actor=parts.actor,
        action="apply",
    )
    outcome = await parts.book.change(partial(documented, parts.book, inquiry.document, notes), intent)
    outcome = replace(outcome, notes=[*outcome.notes, *notes])
    if outcome.code or not changes:
        return [outcome]
    outcome = replace(outcome, changes=[*outcome.changes, *changes])
    if inquiry.is_dry_run:
        return [outcome]
    try:
        waiting = await make_so(parts.book.open_store(), parts.keys, keys, parts.actor)
    except (KeyRejectedError, StoreError, KeysUnavailableError) as error:
        message = f"the resources are applied, but not all virtual keys: {error}; apply the document again"
        return [replace(outcome, code="not_written", problem=message)]
    return [replace(outcome, waiting=sorted({*outcome.waiting, *waiting}))]


async def _wanted_keys(inquiry: ApplyDocument, parts: ControlParts) -> tuple[list[DocumentKey], list[EditedResource]]:
    """Return the virtual keys of a document, and their changes. Raises `EditError` and `StoreError`."""
    own = (await parts.configuration.document()).source.data
    keys, faults = keys_in(entries_of_keys(inquiry.document), entries_of_keys(own))
    if faults and not faults[0].field:
        raise EditError("managed_by_file", f"{faults[0].resource} {faults[0].message}", faults)
    changes: list[EditedResource] = []
    if keys and not faults:
        table = parts.configuration.current.snapshot.virtual_keys
        changes, faults = await changes_to(parts.book.open_store(), keys, table)
    if faults:
        told = "; ".join(": ".join(filter(None, (one.resource, one.field, one.message))) for one in faults)
        raise EditError("invalid_resource", told, faults)
    if changes and not inquiry.may_write_keys:
        raise EditError("forbidden", "the document changes virtual keys, which requires the permission keys:write")
    return keys, changes


async def _roll_back(inquiry: RollBack, parts: ControlParts) -> list[EditOutcome]:
    note = inquiry.note or f"rolled back to version {inquiry.number}"
    intent = ChangeIntent(
        author=inquiry.author, note=note, is_dry_run=inquiry.is_dry_run, actor=parts.actor, action="roll back"
    )
    plan = partial(at_version, parts.book, inquiry.number)
    return [await parts.book.change(plan, intent)]


async def _rotate(inquiry: RotateMasterKey, parts: ControlParts) -> list[RotationOutcome]:
    return [await rotate(parts.book, inquiry.author, parts.actor)]


async def _resources(inquiry: ResourceInquiry, parts: ControlParts) -> list[ResourceState]:
    found = await parts.book.states(inquiry.kind)
    return [one for one in found if inquiry.name in (None, one.name)]


async def _document(inquiry: DocumentInquiry, parts: ControlParts) -> list[ExportedDocument]:
    document = await exported(parts.book, only_made=inquiry.only_made)
    store = parts.ingest.store
    notes = ["the store is not open, so this document has no virtual keys made by API"]
    entries, notes = await stored_keys(store) if store is not None else ({}, notes)
    if entries:
        governance = dict(document.get("governance") or {})
        governance["virtual_keys"] = {**(governance.get("virtual_keys") or {}), **entries}
        document["governance"] = governance
    return [ExportedDocument(document=document, number=parts.book.number, notes=notes)]


ANSWERS: Answers = {
    EditResources: _edit,
    ApplyDocument: _apply,
    RollBack: _roll_back,
    RotateMasterKey: _rotate,
    ResourceInquiry: _resources,
    DocumentInquiry: _document,
}
