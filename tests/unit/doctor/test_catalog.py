"""The check of the catalog's age."""

from datetime import UTC, datetime
from pathlib import Path

from fakes.examined import examine, subject
from pointsman.config.catalog import packaged


def test_age(tmp_path: Path) -> None:
    made_at = datetime.fromisoformat(packaged().date).replace(tzinfo=UTC).timestamp()
    for days, level in ((44, "ok"), (46, "warning")):
        (found,) = examine("catalog", subject(tmp_path, now=made_at + days * 86_400))
        assert found.level == level
    assert found.text.endswith(", 46 days old")
