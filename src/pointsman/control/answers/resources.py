"""Resources: made by API, or read from the configuration file."""

from functools import partial

from msgspec.structs import replace

from pointsman.control.inquiries.resources import (
    ApplyDocument,
    DocumentInquiry,
    EditOutcome,
    EditResources,
    ExportedDocument,
    ResourceInquiry,
    ResourceState,
    RollBack,
    RotateMasterKey,
    RotationOutcome,
)
from pointsman.control.key_rotation import rotate
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.resource_book import ChangeIntent
from pointsman.control.resource_plans import at_version, documented, edited, exported


async def _edit(inquiry: EditResources, parts: ControlParts) -> list[EditOutcome]:
    asked = [(one.kind, one.name) for one in inquiry.edits]
    intent = ChangeIntent(
        author=inquiry.author,
        note=inquiry.note,
        is_dry_run=inquiry.is_dry_run,
        repeat=inquiry.repeat,
    )
    return [await parts.book.change(partial(edited, parts.book, inquiry.edits), intent, asked)]


async def _apply(inquiry: ApplyDocument, parts: ControlParts) -> list[EditOutcome]:
    notes: list[str] = []
    intent = ChangeIntent(author=inquiry.author, note=inquiry.note, is_dry_run=inquiry.is_dry_run)
    outcome = await parts.book.change(partial(documented, parts.book, inquiry.document, notes), intent)
    return [replace(outcome, notes=[*outcome.notes, *notes])]


async def _roll_back(inquiry: RollBack, parts: ControlParts) -> list[EditOutcome]:
    note = inquiry.note or f"rolled back to version {inquiry.number}"
    intent = ChangeIntent(author=inquiry.author, note=note, is_dry_run=inquiry.is_dry_run)
    plan = partial(at_version, parts.book, inquiry.number)
    return [await parts.book.change(plan, intent)]


async def _rotate(inquiry: RotateMasterKey, parts: ControlParts) -> list[RotationOutcome]:
    return [await rotate(parts.book, inquiry.author)]


async def _resources(inquiry: ResourceInquiry, parts: ControlParts) -> list[ResourceState]:
    found = await parts.book.states(inquiry.kind)
    return [one for one in found if inquiry.name in (None, one.name)]


async def _document(inquiry: DocumentInquiry, parts: ControlParts) -> list[ExportedDocument]:
    document = await exported(parts.book, only_made=inquiry.only_made)
    return [ExportedDocument(document=document, number=parts.book.number)]


ANSWERS: Answers = {
    EditResources: _edit,
    ApplyDocument: _apply,
    RollBack: _roll_back,
    RotateMasterKey: _rotate,
    ResourceInquiry: _resources,
    DocumentInquiry: _document,
}
