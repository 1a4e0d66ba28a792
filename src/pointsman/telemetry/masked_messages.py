"""Formats the messages of all processes, with masks for the keys in them and in tracebacks.

A message may quote an address with a password, or the error of a library that quotes its arguments.
"""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman.telemetry.masking import Masker


class MaskingFormatter(logging.Formatter):
    """A formatter whose messages have no keys of known forms, and no passwords in addresses."""

    _masker: "Masker | None" = None

    def format(self, record: logging.LogRecord) -> str:
        if self._masker is None:
            from pointsman.telemetry.masking import Masker  # noqa: PLC0415 -- most processes log nothing

            self._masker = Masker(("keys",))
        return self._masker.lines(super().format(record))
