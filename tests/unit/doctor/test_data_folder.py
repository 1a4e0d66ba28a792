"""The check of the data folder: rights, space, and files with secrets."""

from collections import namedtuple
from pathlib import Path

import pytest

from fakes.configuration import OPEN
from fakes.examined import examine, levels, subject

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 -- as shutil has it


@pytest.fixture(autouse=True)
def _free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1, 0, 10 * 1024**3))


def test_readable_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "private").touch(0o600)
    assert levels(examine("data folder", subject(tmp_path))) == ["ok", "ok"]
    (folder / "public").touch()
    (folder / "public").chmod(0o644)
    (rights, _) = examine("data folder", subject(tmp_path))
    assert rights.level == "warning"
    assert rights.text == f"other users can read {folder / 'public'}"
    assert rights.advice == f"chmod -R go= {folder}"


@pytest.mark.parametrize(("free", "level"), [(100 * 1024**2, "error"), (1024**3, "warning"), (3 * 1024**3, "ok")])
def test_free_space(free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free, 0, free))
    (tmp_path / "data").mkdir(mode=0o700)
    assert levels(examine("data folder", subject(tmp_path))) == ["ok", level]


def test_files_with_secrets_are_private(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-test")
    secret.chmod(0o604)
    config = f"providers: {{openai: file:{secret}}}\ndata_dir: data\n" + OPEN
    (_, found) = examine("data folder", subject(tmp_path, config))
    assert found.text == f"every user can read the secrets in {secret}"
    secret.chmod(0o640)
    assert levels(examine("data folder", subject(tmp_path, config))) == ["ok"]


def test_others_must_not_change_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.touch()
    file.chmod(0o664)
    (_, found) = examine("data folder", subject(tmp_path, name=str(file)))
    assert found.level == "error"
