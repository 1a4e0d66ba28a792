"""`pointsman release`: the end of a hold."""

import json
from pathlib import Path

from fakes.admin_api import served
from unit.cli.test_hold import invoke


def test_released_hold_is_gone(tmp_path: Path) -> None:
    with served(tmp_path, lambda plane: None) as url:
        invoke("hold", "openai:default", "--url", url)
        done = invoke("release", "openai:default", "--url", url)
        assert (done.exit_code, done.output) == (0, "released openai:default\n")
        assert json.loads(invoke("health", "--json", "--url", url).output)["holds"] == []
        again = invoke("release", "openai:default", "--url", url)
        assert again.exit_code == 1
        assert "there is no hold on 'openai:default'" in again.output
