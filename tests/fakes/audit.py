"""The audit log of a test, with its anchor in a folder."""

from pathlib import Path

from pointsman.config.sealing import MasterKeys
from pointsman.control.anchor import AnchorFile
from pointsman.control.audit_log import AuditedCall, AuditLog
from pointsman.domain.audit import Actor


def audit_log(folder: Path) -> AuditLog:
    """Return a log whose key is in the folder too."""
    return AuditLog(lambda: AnchorFile(folder, MasterKeys({}, folder)))


def audited_call(folder: Path, name: str = "test") -> AuditedCall:
    """Return a call of somebody with this name."""
    return AuditedCall(audit_log(folder), Actor(name))
