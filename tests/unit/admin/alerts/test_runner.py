"""Alerts are recorded once, also over restarts and while the store is away."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.control import CONFIG, ControlPlane, LocalInquirer, control_plane
from fakes.receiver import FakeReceiver, receiving
from integration.gateway import run, until
from pointsman.admin.alerts import observer
from pointsman.admin.alerts.runner import AlertRunner
from pointsman.alerting.api import Alert
from pointsman.control.inquiries.alerts import RecordAlerts
from pointsman.control.store.alerts import AlertQueries
from pointsman.control.store.database import StoreError
from pointsman.link.inquirer import AwayError


def config(receiver: FakeReceiver, rules: str = "[{name: budget, kind: budget}]") -> str:
    channel = f"{{type: slack, url: '{receiver.url}/in'}}"
    return (
        f"{CONFIG}egress: {{allow_private: [127.0.0.0/8]}}\nalerts: {{channels: {{ops: {channel}}}, rules: {rules}}}\n"
    )


async def started(plane: ControlPlane) -> AlertRunner:
    """Return alerts that have their settings."""
    alerts = AlertRunner(plane.services.control, AlertQueries(plane.services.store.rows))
    await alerts._configure()
    await alerts.step(time.time())
    return alerts


def is_idle(alerts: AlertRunner) -> bool:
    return not alerts.deliveries.waiting("ops")


async def fired(plane: ControlPlane) -> list[str]:
    return sorted(one.text for one in await AlertQueries(plane.services.store.rows).past(100))


def test_threshold_has_one_message_over_restarts(tmp_path: Path) -> None:
    async def main() -> None:
        with receiving() as receiver:
            async with control_plane(tmp_path, config=config(receiver)) as plane:
                alerts = await started(plane)
                for number in range(5):  # each is a fifth of the budget
                    plane.write(number + 1, nano=10**9)
                    await plane.ingest()
                    await alerts.step(time.time())
                    await until(partial(is_idle, alerts), "nothing is being sent")
                    if number % 2:
                        await alerts.deliveries.close()
                        alerts = await started(plane)
                await until(lambda: len(receiver.received) == 3, "every threshold has its message")
                texts = await fired(plane)
                assert [text.partition(" of the budget of $5 per day")[0] for text in texts] == [
                    "virtual_key:me: 100 %",
                    "virtual_key:me: 50 %",
                    "virtual_key:me: 80 %",
                ]
                await alerts.deliveries.close()
                again = await started(plane)
                await asyncio.sleep(0.3)
                assert len(receiver.received) == 3
                assert len(again.firing()) == 3
                assert again.problems() == {}
                await again.deliveries.close()

    run(main())


def test_killed_process_repeats_no_alert(tmp_path: Path) -> None:
    """The process dies after control has written an alert, and before it knows that."""

    async def main() -> None:
        with receiving() as receiver:
            async with control_plane(tmp_path, config=config(receiver)) as plane:
                alerts = await started(plane)
                ask = plane.services.control.ask

                async def lost(inquiry: Any, item: Any, within_s: float = 0.0) -> Any:
                    found = await ask(inquiry, item, within_s)
                    if isinstance(inquiry, RecordAlerts):
                        raise AwayError("killed")
                    return found

                alerts._control.ask = lost  # type: ignore[method-assign]
                plane.write(1, nano=3 * 10**9)
                await plane.ingest()
                await alerts.step(time.time())
                await alerts.deliveries.close()
                assert not receiver.received, "a budget's alert is sent only if it is recorded"
                alerts._control.ask = ask  # type: ignore[method-assign]
                again = await started(plane)
                await until(lambda: receiver.received, "the message in the store is sent")
                await asyncio.sleep(0.2)
                assert len(receiver.received) == 1
                assert len(await fired(plane)) == 1
                await again.deliveries.close()

    run(main())


def test_gateway_without_a_store_sends_its_alert_and_records_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "PAGES_S", 0.0)

    async def main() -> None:
        with receiving() as receiver:
            rules = "[{name: gone, each: gateway, when: workers == 0}]"
            async with control_plane(tmp_path, config=config(receiver, rules)) as plane:
                alerts = AlertRunner(plane.services.control, AlertQueries(plane.services.store.rows))
                await alerts._configure()
                assert isinstance(plane.services.control, LocalInquirer)
                queries, ingest = alerts._store, plane.services.control.inquiry_handler.parts.ingest
                kept, ingest.store = ingest.store, None
                firing = queries.firing

                async def away(*_: Any) -> list[Alert]:
                    raise StoreError("away")

                queries.firing = away  # type: ignore[method-assign,assignment]
                await alerts.step(time.time())
                await until(lambda: receiver.received, "the message is sent at once")
                assert "alerts cannot be recorded" in alerts.problems()["alerts"]
                await alerts.step(time.time())
                queries.firing, ingest.store = firing, kept  # type: ignore[method-assign]
                await alerts.step(time.time())
                assert alerts.problems() == {}
                assert len(await fired(plane)) == 1
                async with asyncio.timeout(PATIENCE_S):
                    while await queries.messages("ops", 9):
                        await asyncio.sleep(0.05)
                assert len(receiver.received) == 1
                await alerts.deliveries.close()

    run(main())


def test_alerts_end_with_the_section(tmp_path: Path) -> None:
    async def main() -> None:
        with receiving() as receiver:
            rules = "[{name: gone, each: gateway, when: workers == 0}]"
            text = config(receiver, rules)
            async with control_plane(tmp_path, config=text) as plane:
                alerts = await started(plane)
                assert len(alerts.firing()) == 1
                await alerts.deliveries.close()
            async with control_plane(tmp_path, config=CONFIG) as plane:
                alerts = await started(plane)
                assert alerts.firing() == []
                assert await AlertQueries(plane.services.store.rows).firing(9) == []

    run(main())


def test_fault_is_reported_and_the_task_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.admin.alerts.runner.IDLE_S", 0.01)
    monkeypatch.setattr("pointsman.admin.alerts.runner.TICK_S", 0.01)

    async def main() -> None:
        with receiving() as receiver:
            async with control_plane(tmp_path, config=config(receiver)) as plane:
                alerts = AlertRunner(plane.services.control, AlertQueries(plane.services.store.rows))

                async def fail(_: float) -> None:
                    raise ValueError("an unexpected fault")

                monkeypatch.setattr(alerts, "step", fail)
                running = asyncio.create_task(alerts.run())
                await until(lambda: alerts.problem, "the fault is reported")
                assert alerts.problems() == {"alerts": "alerts cannot be evaluated: an unexpected fault"}
                monkeypatch.undo()
                await until(lambda: not alerts.problem, "it works again")
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    run(main())
