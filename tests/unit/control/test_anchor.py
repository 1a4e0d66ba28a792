"""The anchor: its ends, its keys, and its digest."""

from pathlib import Path

import pytest

from pointsman.config.sealing import MasterKeys
from pointsman.control.anchor import FILE, OWN_KEY, AnchorError, AnchorFile, AnchorState
from pointsman.domain.audit import ChainEnd

GIVEN = {"POINTSMAN_MASTER_KEY": "m" * 40}
OTHER = {"POINTSMAN_MASTER_KEY": "n" * 40}
BOTH = {"POINTSMAN_MASTER_KEY": f"{'n' * 40} {'m' * 40}"}
ONE, TWO = ChainEnd(1, "a" * 64), ChainEnd(2, "b" * 64)


def anchor(folder: Path, environ: dict[str, str] | None = None) -> AnchorFile:
    return AnchorFile(folder, MasterKeys(environ or {}, folder))


def test_either_end_is_the_truth_until_the_commit_is_noted() -> None:
    state = AnchorState(settled=ONE, next=TWO)
    assert state.fault_of(ONE) == state.fault_of(TWO) == ""
    assert "removed" in state.fault_of(ChainEnd())
    assert "added" in state.fault_of(ChainEnd(3, "c" * 64))
    assert "anew" in state.fault_of(ChainEnd(2, "c" * 64))
    assert "removed" in AnchorState(settled=TWO).fault_of(ONE)


def test_first_fault_stays() -> None:
    assert AnchorState(settled=ONE, fault="it was changed").fault_of(ONE) == "it was changed"


def test_own_key_is_made_at_first_need(tmp_path: Path) -> None:
    assert anchor(tmp_path).read() is None
    anchor(tmp_path).write(AnchorState(settled=ONE))
    found = anchor(tmp_path).read()
    assert found is not None
    assert (found.settled, found.key) == (ONE, "own")
    assert (tmp_path / OWN_KEY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("environ", [{}, GIVEN])
def test_changed_file_is_noticed(tmp_path: Path, environ: dict[str, str]) -> None:
    anchor(tmp_path, environ).write(AnchorState(settled=TWO))
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"number":2', '"number":1'))
    with pytest.raises(AnchorError, match="does not fit"):
        anchor(tmp_path, environ).read()
    (tmp_path / FILE).write_text(text.replace('"fault"', '"fbult"'))
    with pytest.raises(AnchorError, match="damaged"):
        anchor(tmp_path, environ).read()
    (tmp_path / FILE).write_text("{")
    with pytest.raises(AnchorError, match="damaged"):
        anchor(tmp_path, environ).read()


def test_key_follows_a_rotation(tmp_path: Path) -> None:
    anchor(tmp_path, GIVEN).write(AnchorState(settled=ONE))
    found = anchor(tmp_path, BOTH).read()
    assert found is not None
    anchor(tmp_path, BOTH).write(found)
    assert anchor(tmp_path, OTHER).read() is not None
    with pytest.raises(AnchorError, match="not here"):
        anchor(tmp_path, GIVEN).read()


def test_key_in_the_data_folder_does_not_replace_a_given_one(tmp_path: Path) -> None:
    anchor(tmp_path).write(AnchorState(settled=ONE))
    with pytest.raises(AnchorError, match="'own', which is not here"):
        anchor(tmp_path, GIVEN).read()
