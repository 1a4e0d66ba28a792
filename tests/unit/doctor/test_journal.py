"""The check of the journals."""

from pathlib import Path

from fakes.examined import CONFIG, examine, levels, subject


def test_damaged_and_rejected_records_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "journal"
    assert examine("journal", subject(tmp_path)) == []
    folder.mkdir(parents=True)
    assert levels(examine("journal", subject(tmp_path))) == ["ok"]
    (folder / "damaged-1").mkdir()
    (tmp_path / "data" / "quarantine.jsonl").write_text("{}\n")
    assert levels(examine("journal", subject(tmp_path))) == ["warning", "warning"]


def test_full_journal_is_told(tmp_path: Path) -> None:
    journal = tmp_path / "data" / "journal" / "1"
    journal.mkdir(parents=True)
    (journal / "segment").write_bytes(bytes(40 * 1024**2))
    assert levels(examine("journal", subject(tmp_path))) == ["ok"]
    config = CONFIG + "journal: {max_bytes: 67108864}\n"
    of = subject(tmp_path, config)
    assert of.settings is not None, of.checked.problems
    assert levels(examine("journal", of)) == ["warning"]
