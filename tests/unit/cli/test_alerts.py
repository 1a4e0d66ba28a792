"""`pointsman alerts`: alerts that fire, the history, and tests of rules."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from fakes.admin_api import served
from fakes.alerts import alert
from fakes.control import TOKEN, ControlPlane
from fakes.receiver import FakeReceiver, receiving
from pointsman.admin.alerts.runner import AlertRunner
from pointsman.cli import build_app
from pointsman.control.store.alerts import AlertQueries, AlertTable
from pointsman.control.store.database import store_url
from pointsman.control.store.store import Store

ENV = {"POINTSMAN_ADMIN_TOKEN": TOKEN}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["alerts", *arguments], env=ENV)


def fill(folder: Path) -> None:
    async def write() -> None:
        store = await Store.open(store_url(None, folder))
        await AlertTable(store).write([alert(1), alert(2, rule="other", ended_at=2000.0)], [], [])
        await store.close()

    asyncio.run(write())


def channels(receiver: FakeReceiver) -> str:
    channel = f"{{type: slack, url: '{receiver.url}/in'}}"
    return f"egress: {{allow_private: [127.0.0.0/8]}}\nalerts: {{channels: {{ops: {channel}}}}}\n"


def test_firing_alerts_and_history_are_printed(tmp_path: Path) -> None:
    fill(tmp_path)
    with served(tmp_path, lambda plane: None) as url:
        shown = invoke("--url", url).output
        assert "p/m1 is failed" in shown
        assert "p/m2 is failed" not in shown
        assert "no rules are in force" in shown
        past = invoke("--history", "--url", url).output
        assert "1970-01-01 00:33:20Z" in past
        assert past.index("p/m2") < past.index("p/m1")
        found = json.loads(invoke("--history", "--rule", "other", "--json", "--url", url).output)
        assert [one["id"] for one in found] == ["id-2"]


def test_failed_test_exits_with_one(tmp_path: Path) -> None:
    with receiving() as receiver:

        def start(plane: ControlPlane) -> None:
            alerts = plane.services.alerts = AlertRunner(
                plane.services.control, AlertQueries(plane.services.store.rows)
            )
            tasks.append(asyncio.get_running_loop().create_task(alerts._configure()))

        tasks: list[asyncio.Task[None]] = []
        with served(tmp_path, start, channels(receiver)) as url:
            done = invoke("--test", "budget", "--url", url)
            assert (done.exit_code, done.output) == (0, "ops: accepted the message\n")
            receiver.mode = 500
            done = invoke("--test", "budget", "--url", url)
            assert (done.exit_code, done.output) == (1, "ops: status 500\n")
            assert invoke("--test", "nobody", "--url", url).exit_code == 1
            assert invoke("--url", url).output == "no alerts\n"
