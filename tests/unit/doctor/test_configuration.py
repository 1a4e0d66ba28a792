"""The check of the configuration file."""

from pathlib import Path

from fakes.examined import CONFIG, examine, subject
from pointsman.doctor.api import ok


def test_problems_have_their_line(tmp_path: Path) -> None:
    (found,) = examine("configuration", subject(tmp_path, CONFIG.replace("console", "consle")))
    assert found.level == "error"
    assert found.text.startswith("file.yaml:4: consle: unknown field")


def test_good_file(tmp_path: Path) -> None:
    assert examine("configuration", subject(tmp_path)) == [ok("file.yaml has no problem")]
