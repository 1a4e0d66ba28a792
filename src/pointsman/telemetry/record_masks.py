"""Masks keys that clients and providers put into the fields of a record, before a worker writes it anywhere.

The request log, the journal, the store and all that reads them get the masked record. A key is known by its form
(`masking`). Most requests repeat the texts of earlier ones, so the texts without a key are remembered.
"""

from collections.abc import Iterable

import msgspec

from pointsman.domain.records import RequestRecord
from pointsman.telemetry.masking import Masker

MOST_KEPT = 10_000  # texts
_LONGEST_KEPT = 256  # characters
_SHORTEST = 12  # characters of a key


class RecordMasks:
    """The masks of one worker."""

    def __init__(self) -> None:
        self._masker = Masker(("keys",))
        self._clean: set[str | None] = {None, ""}

    def of(self, record: RequestRecord) -> RequestRecord:
        """Return the record without keys: the same one if it has none."""
        if not self._is_suspect(record):
            return record
        line = self._masker.record(msgspec.json.encode(record))
        return msgspec.json.decode(line, type=RequestRecord)

    def text(self, text: str) -> str:
        """Return a text without keys."""
        return self._masker.text(text) if self._has_key((text,)) else text

    def _is_suspect(self, record: RequestRecord) -> bool:
        """Return whether a text that others chose may have a key. Every request calls this."""
        clean = self._clean
        if (
            record.model not in clean
            or record.path not in clean
            or record.session not in clean
            or record.client_request_id not in clean
        ) and self._has_key((record.model, record.path, record.session, record.client_request_id)):
            return True
        for attempt in record.attempts:
            if (attempt.model not in clean or attempt.message is not None) and self._has_key(
                (attempt.model, attempt.message)
            ):
                return True
        if record.tags and (self._has_key(record.tags) or self._has_key(record.tags.values())):
            return True
        if record.labels and (self._has_key(record.labels) or self._has_key(record.labels.values())):
            return True
        if (
            record.code is not None
            or record.verdicts
            or record.agent is not None
            or record.parent_agent is not None
            or record.client_retries is not None
            or record.pinned is not None
        ):
            others = (record.message, record.agent, record.parent_agent, record.client_retries, record.pinned)
            if self._has_key(others) or self._has_key(record.verdicts):
                return True
        return self._has_rare_key(record)

    def _has_rare_key(self, record: RequestRecord) -> bool:
        if record.order and self._has_key(record.order):
            return True
        if record.rule_facts and self._has_key(record.rule_facts.values()):
            return True
        if record.rule_problems and self._has_key(record.rule_problems):
            return True
        if record.traceparent and self._has_key((record.tracestate,)):
            return True
        if record.require and self._has_key(record.require):
            return True
        return record.feedback is not None and self._has_key((record.feedback.comment, record.feedback.request_id))

    def _has_key(self, texts: Iterable[str | None]) -> bool:
        clean = self._clean
        for text in texts:
            if text is None or text in clean or len(text) < _SHORTEST:
                continue
            if self._masker.may_mask(text):
                return True
            if len(text) <= _LONGEST_KEPT:
                if len(clean) >= MOST_KEPT:
                    clean.clear()
                    clean.update((None, ""))
                clean.add(text)
        return False
