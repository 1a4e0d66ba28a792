"""Properties of all checks."""

from pathlib import Path

from fakes.examined import CONFIG, examine, levels, subject
from pointsman.doctor import checks


def test_new_installation_has_no_warning_offline(tmp_path: Path) -> None:
    of = subject(tmp_path, is_online=False, now=0.0)
    found = {name: examine(name, of) for name in checks() if name != "edge"}  # tests may run as root
    assert {level for findings in found.values() for level in levels(findings)} == {"ok", "skipped"}


def test_unusable_file_concerns_only_the_check_of_the_file(tmp_path: Path) -> None:
    of = subject(tmp_path, CONFIG.replace("console", "consle"))
    found = {name: examine(name, of) for name in checks()}
    assert [name for name, findings in found.items() if findings] == ["configuration"]


def test_warnings_and_errors_have_advice(tmp_path: Path) -> None:
    of = subject(tmp_path, CONFIG.replace("127.0.0.1:0", "0.0.0.0:0"), is_online=False)
    found = [finding for name in checks() for finding in examine(name, of)]
    assert any(finding.level == "warning" for finding in found)
    for finding in found:
        assert bool(finding.advice) is (finding.level in {"warning", "error"}), finding
