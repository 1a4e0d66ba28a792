"""The admin token: created once, stored as a digest, and hard to guess."""

import stat
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from pointsman.admin.auth import FILE, METRICS_VARIABLE, VARIABLE, given_token, load_or_make

GIVEN = "a-token-of-twenty-characters-or-more"


def test_first_start_creates_a_token_and_stores_only_its_digest(tmp_path: Path) -> None:
    first = load_or_make(tmp_path, {})
    assert first.made is not None
    assert len(first.made) > 40
    assert first.opens(first.made)
    assert not first.opens(first.made + "x")
    assert not first.opens("")
    file = tmp_path / FILE
    assert file.read_text() == f"sha256:{sha256(first.made.encode()).hexdigest()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE], "no temporary file remains"

    second = load_or_make(tmp_path, {})
    assert second.made is None
    assert second.opens(first.made)


def test_each_folder_has_its_own_token(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    one, other = (load_or_make(folder, {}) for folder in folders)
    assert one.made != other.made
    assert not one.opens(other.made or "")


def test_environment_outranks_the_file_and_leaves_it_unchanged(tmp_path: Path) -> None:
    token = load_or_make(tmp_path, {VARIABLE: GIVEN})
    assert token.opens(GIVEN)
    assert token.made is None
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("variable", [VARIABLE, METRICS_VARIABLE])
def test_short_token_is_rejected_without_quoting_it(variable: str, tmp_path: Path) -> None:
    load = partial(load_or_make, tmp_path) if variable == VARIABLE else partial(given_token, variable)
    with pytest.raises(ValueError, match=f"{variable} has fewer than 20 characters") as caught:
        load({variable: "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "sha256:", "sha256:12", "pm-admin-in-the-clear", "sha256:" + "g" * 64])
def test_file_without_a_digest_is_rejected_with_a_remedy(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match="contains no digest; delete it, and restart"):
        load_or_make(tmp_path, {})


def test_metrics_token_is_optional() -> None:
    assert given_token(METRICS_VARIABLE, {}) is None
    assert given_token(METRICS_VARIABLE, {METRICS_VARIABLE: ""}) is None
    found = given_token(METRICS_VARIABLE, {METRICS_VARIABLE: GIVEN})
    assert found is not None
    assert found.opens(GIVEN)
