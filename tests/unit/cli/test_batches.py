"""`pointsman batches`: lists open batches."""

import json
import time
from pathlib import Path

from typer.testing import CliRunner

from fakes.admin_api import served
from fakes.batches import write_batch
from fakes.control import TOKEN, ControlPlane, request_id, scope
from pointsman.cli import build_app

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def fill(plane: ControlPlane) -> None:
    write_batch(plane.writer, scope(model=""), request_id(1, time.time()))


def test_open_batches_are_printed(tmp_path: Path) -> None:
    with served(tmp_path, fill) as url:
        done = CliRunner().invoke(build_app(), ["batches", "--url", url], env=ENV)
        assert done.exit_code == 0, done.output
        assert "b-" in done.output
        assert "openai" in done.output
        assert "problem" in done.output
        done = CliRunner().invoke(build_app(), ["batches", "--url", url, "--json"], env=ENV)
        assert len(json.loads(done.output)) == 1


def test_no_batch_is_said_so(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: None) as url:
        done = CliRunner().invoke(build_app(), ["batches", "--url", url], env=ENV)
        assert "no open batches" in done.output
