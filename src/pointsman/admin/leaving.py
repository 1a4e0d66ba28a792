"""The gate for records that leave the gateway: requirements of compliance, a filter, and redaction.

A record passes only if the tags of its receiver meet every requirement of its request. A record whose requirements
cannot be read does not pass.
"""

from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING

import msgspec

from pointsman.config.record_conditions import ConditionFacts, RecordCondition
from pointsman.config.settings import Filter
from pointsman.control.inquiries.sinks import Conditions
from pointsman.domain.failures import Rejection
from pointsman.domain.requirements import Requirements, is_met
from pointsman.domain.tracing import Tracing, is_sampled
from pointsman.wire.requirements import read_require

if TYPE_CHECKING:
    from pointsman.telemetry.masking import Masker


class _RecordFacts(ConditionFacts):
    """The fields of a record that decide whether it passes."""

    request_id: str
    require: dict[str, str] = msgspec.field(default_factory=dict)


_DECODER = msgspec.json.Decoder(_RecordFacts)


class Gate:
    """Lets records pass by some conditions. One thread at a time uses it."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._masker: Masker | None = None
        self._condition: RecordCondition | None = None

    def passed(self, lines: Sequence[bytes]) -> tuple[list[bytes], int]:
        """Return the masked records that pass, and the number of those that were withheld for a requirement."""
        found: list[bytes] = []
        withheld, now_unix_s = 0, time()
        for line in lines:
            try:
                facts = _DECODER.decode(line)
            except msgspec.DecodeError:  # of a newer version
                withheld += 1
                continue
            if not _is_chosen(facts, self._conditions.filter) or not self._holds(facts):
                continue
            if self._may_leave(facts, now_unix_s):
                found.append(self._masked(line))
            else:
                withheld += 1
        return found, withheld

    def _may_leave(self, facts: _RecordFacts, now_unix_s: float) -> bool:
        tags, require = self._conditions.tags, self._conditions.require
        if facts.require:
            own = _requirements(", ".join(facts.require))
            if own is None:
                return False
            require = (*require, *own)
        return all(is_met(one, [tags.get(one.tag, ())], now_unix_s) for one in require)

    def _holds(self, facts: _RecordFacts) -> bool:
        when = self._conditions.filter.when
        if not when:
            return True
        if self._condition is None:
            self._condition = RecordCondition(when)
        return self._condition.holds(facts)

    def _masked(self, line: bytes) -> bytes:
        if self._masker is None:
            from pointsman.telemetry.masking import Masker  # noqa: PLC0415 -- only receivers of records need its library

            redaction = self._conditions.redaction
            self._masker = Masker(redaction.kinds, dict(redaction.patterns), redaction.fields)
        return self._masker.record(line)


def _requirements(text: str) -> Requirements | None:
    """Return the requirements in a record, whose texts have the form of the header, or `None` if they have another."""
    try:
        return read_require(text)
    except Rejection:
        return None


def _is_chosen(facts: _RecordFacts, chosen: Filter) -> bool:
    for name, values in chosen.fields:
        if getattr(facts, name) not in values:
            return False
    if chosen.min_status is not None and 0 < facts.status < chosen.min_status:
        return False
    return chosen.share >= 1 or is_sampled(facts.request_id, None, Tracing(chosen.share))
