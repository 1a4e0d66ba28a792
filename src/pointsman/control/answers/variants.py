"""The targets of public names."""

from pointsman.control.inquiries.variants import TargetState, VariantInquiry
from pointsman.control.parts import Answers, ControlParts
from pointsman.control.variants import targets_of


async def _variants(inquiry: VariantInquiry, parts: ControlParts) -> list[TargetState]:
    return targets_of(parts.configuration.current.snapshot, inquiry.model)


ANSWERS: Answers = {VariantInquiry: _variants}
