"""The committed build of the console is that of its source."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "console"
BUILT = REPOSITORY / "src" / "pointsman" / "admin" / "console"
MOST_BYTES = 150 * 1024  # at the first load, compressed


def test_build_is_that_of_the_source(tmp_path: Path) -> None:
    npx = shutil.which("npx")
    if npx is None or not (SOURCE / "node_modules" / "vite").exists():
        pytest.skip("the console was not built: node or its packages are missing (`npm ci --prefix console`)")
    subprocess.run([npx, "tsc", "--noEmit"], cwd=SOURCE, check=True, capture_output=True, text=True)
    subprocess.run([npx, "vite", "build", "--outDir", tmp_path], cwd=SOURCE, check=True, capture_output=True)
    made = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    kept = {one.name: one.read_bytes() for one in BUILT.iterdir()}
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == [], "run `make console`, and commit its result"


def test_build_asks_no_other_address() -> None:
    page = (BUILT / "index.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in (BUILT / "console.css").read_text().replace("url(data:", "")


def test_first_load_is_small() -> None:
    assert sum(len(gzip.compress(one.read_bytes())) for one in BUILT.iterdir()) < MOST_BYTES
