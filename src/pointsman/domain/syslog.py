"""Records of the audit log as messages of syslog (RFC 5424)."""

from datetime import UTC, datetime

from msgspec import json
from msgspec.structs import asdict

from pointsman.domain.audit import AuditRecord

_FACILITY = 13  # log audit
_NOTICE, _WARNING = 5, 4
_ID = "audit@32473"  # the number that RFC 5612 keeps for examples: the project has none of its own
_FIELDS = (
    "number", "actor", "address", "request_id", "action", "kind", "name", "team", "customer", "outcome", "hash"
)  # fmt: skip


def syslog_line(record: AuditRecord, host: str) -> str:
    """Return the message of a record, in one line. Its text is the record in JSON."""
    severity = _WARNING if record.outcome.startswith("refused") else _NOTICE
    at = datetime.fromtimestamp(record.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    values = asdict(record)
    data = " ".join(f'{name}="{_escaped(str(values[name]))}"' for name in _FIELDS if values[name] != "")
    message = json.encode(record).decode()
    head = f"<{_FACILITY * 8 + severity}>1 {at} {_token(host, 255)} pointsman - {_token(record.action, 32)}"
    return f"{head} [{_ID} {data}] \ufeff{message}"


def _escaped(value: str) -> str:
    """Return a value of structured data. Line ends would end the message."""
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    return "".join(character if character.isprintable() else " " for character in text)


def _token(text: str, longest: int) -> str:
    """Return a field of the head: printable ASCII without spaces, `-` if there is none."""
    shown = "".join(character if "!" <= character <= "~" else "_" for character in text)
    return shown[:longest] or "-"
