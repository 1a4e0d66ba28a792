"""The files of a draft can be read back, whatever its texts are."""

import json
import shlex
from pathlib import Path

import yaml

from pointsman.importers.draft import Carried, Draft
from pointsman.importers.origin import ImportOrigin
from pointsman.importers.render import write

ORIGIN = ImportOrigin(title="Other", docs="https://other.example", read=lambda _, __: None)
HOSTILE = ["'; rm -rf /", 'a"b', "a\nb: c", "# no comment", "${HOME}", "\u202e", "`x`"]


def test_texts_survive(tmp_path: Path) -> None:
    draft = Draft()
    for number, text in enumerate(HOSTILE):
        draft.section("models")[f"m{number}"] = {"targets": [text]}
        draft.secret(text, f"secret {number}")
        draft.lost(text, "has no counterpart")
        draft.changed("x", f"changed {number}", ("models", f"m{number}"))
    write(tmp_path, draft, ORIGIN, "source")
    text = (tmp_path / "pointsman.yaml").read_text()
    found = yaml.safe_load(text)
    assert [one["targets"] for one in found["models"].values()] == [[one] for one in HOSTILE]
    assert all(f"  # changed {number}\n  m{number}:" in text for number in range(len(HOSTILE)))
    lines = shlex.split((tmp_path / "secrets.env").read_text())
    assert sorted(line.partition("=")[2] for line in lines) == sorted(HOSTILE)
    assert (tmp_path / "report.md").read_text().count("has no counterpart") == len(HOSTILE)


def test_keys_and_spending_have_files_of_their_own(tmp_path: Path) -> None:
    draft = Draft()
    draft.section("governance")["require_key"] = False
    draft.keys.append({"name": "a", "value": "sha256:00"})
    draft.carried.append(Carried("virtual_key:a", {"hours": 6}, "1.5"))
    write(tmp_path, draft, ORIGIN, "source")
    assert yaml.safe_load((tmp_path / "pointsman.yaml").read_text())["governance"] == {"keys_file": "keys.jsonl"}
    assert json.loads((tmp_path / "keys.jsonl").read_text()) == draft.keys[0]
    found = json.loads((tmp_path / "carried.json").read_text())
    assert found == [{"owner": "virtual_key:a", "per": {"hours": 6}, "usd": "1.5"}]
