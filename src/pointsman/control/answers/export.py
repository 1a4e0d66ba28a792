"""The export to a collector."""

from pointsman.control.inquiries.export import ExportInquiry, ExportSettings
from pointsman.control.parts import Answers, ControlParts


async def _export(_: ExportInquiry, parts: ControlParts) -> list[ExportSettings]:
    return parts.configuration.export_settings()


ANSWERS: Answers = {ExportInquiry: _export}
