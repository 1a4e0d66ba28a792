"""Facts of limits and of the gateway, as control reports them."""

import time
from pathlib import Path
from typing import Any

import pytest

from fakes.alerts import rule
from fakes.control import CONFIG, control_plane
from integration.gateway import run
from pointsman.admin.alerts import observer
from pointsman.admin.alerts.observer import Observer
from pointsman.alerting.api import Check
from pointsman.alerting.subjects.gateway import GatewayFacts
from pointsman.alerting.subjects.limit import LimitFacts
from pointsman.alerting.subjects.virtual_key import VirtualKeyFacts
from pointsman.control.inquiries.alerts import AlertSettings, ExpiringKey
from pointsman.control.store.tables import Row
from pointsman.link.inquirer import Inquirer


def settings(*subjects: str, least_percent: float = 1.0) -> AlertSettings:
    checks = [Check(each=name, when="true", text="", least_percent=least_percent) for name in subjects]
    keys = [ExpiringKey("me", "research", "", 86_400.0 * 3)]
    return AlertSettings(digest="d", rules=[rule(*checks)], catalog_date="1970-01-01", keys=keys)


def test_changed_limits_arrive_once_until_an_answer_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            one = Observer(plane.services.control, settings("limit", least_percent=10.0))

            async def seen() -> list[str]:
                found = (await one.observe(time.time())).rows["limit", 60.0]
                return sorted(row.owner for row in found if isinstance(row, LimitFacts))

            assert await seen() == []
            plane.write(1, nano=10**9)
            await plane.ingest()
            assert await seen() == ["virtual_key:me"]  # a fifth of $5, but a hundredth of $100
            assert await seen() == []
            one._mark = ""
            assert await seen() == ["virtual_key:me"]

    run(main())


def test_gateway_and_keys_have_all_their_rows(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            found = await Observer(plane.services.control, settings("gateway", "virtual_key")).observe(86_400.0)
            assert {"gateway", "virtual_key"} <= found.whole
            assert "limit" not in found.whole
            (gateway,) = found.rows["gateway", 60.0]
            assert isinstance(gateway, GatewayFacts)
            assert (gateway.control_is_up, gateway.store_is_up, gateway.catalog_age_days) == (True, True, 1.0)
            (key,) = found.rows["virtual_key", 60.0]
            assert isinstance(key, VirtualKeyFacts)
            assert (key.virtual_key, key.expires_in_days) == ("me", 2.0)

    run(main())


def made_by_api(name: str, **fields: Any) -> Row:
    texts = dict.fromkeys(("hint", "customer", "parent", "note", "previous_digest", "team"), "")
    own = {"name": name, "digest": name, "settings": "{}", "is_enabled": 1, "created_by": "me", "previous_until": None}
    return {**texts, **own, "created_at": 1.0, "changed_at": 1.0, **fields}


def test_keys_made_by_api_have_rows_while_the_store_is_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            store = plane.inquiry_handler.parts.ingest.store
            assert store is not None
            await store.api_keys.write([made_by_api("made", expires_at=86_400.0 * 5, team="red")], [], [])
            one = Observer(plane.services.control, settings("virtual_key"))
            found = (await one.observe(86_400.0)).rows["virtual_key", 60.0]
            shown = [
                (key.virtual_key, key.team, key.expires_in_days) for key in found if isinstance(key, VirtualKeyFacts)
            ]
            assert shown == [("me", "research", 2.0), ("made", "red", 4.0)]
            one._made = None  # as if the store could not be read
            assert "virtual_key" not in (await one.observe(86_400.0)).whole

    run(main())


def test_control_counts_as_away_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        one = Observer(Inquirer(str(tmp_path / "nobody")), settings("gateway", "limit"))
        one._answered_at += observer.PAGES_S  # as if it had just answered
        assert (await one.observe(1.0)).rows == {}
        monkeypatch.setattr(observer, "AWAY_S", -1.0)
        found = await one.observe(1.0)
        assert list(found.rows) == [("gateway", 60.0)]
        assert found.rows["gateway", 60.0] == [GatewayFacts(control_is_up=False)]
        assert not found.whole

    run(main())
