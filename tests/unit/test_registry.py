"""Finding the members of a package."""

import sys
from pathlib import Path

import pytest

from pointsman.registry import members


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "some_members"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_members"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_members_come_in_alphabetical_order_without_the_private_ones_and_the_api(package: Path) -> None:
    for name in ("beta", "alpha", "_shared", "api"):
        (package / f"{name}.py").write_text(f"THING = {name!r}\n")
    assert list(members("some_members", "THING")) == [("alpha", "alpha"), ("beta", "beta")]


def test_a_member_without_the_attribute_is_an_error(package: Path) -> None:
    (package / "alpha.py").write_text("THIN = 1\n")
    with pytest.raises(AttributeError, match="THING"):
        list(members("some_members", "THING"))


def test_a_package_without_members_has_none(package: Path) -> None:
    assert list(members("some_members", "THING")) == []
