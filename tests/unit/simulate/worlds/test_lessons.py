"""The facts that a worker learns, and the times it learns them with."""

from typing import Any

import pytest

from fakes.worlds import small
from pointsman.domain.failures import Failure
from pointsman.domain.targets import ProviderKey
from pointsman.routing.paces import Paces, Tried
from pointsman.simulate.worlds.compare import CONTENDERS, run
from pointsman.simulate.worlds.world import Traffic


def test_core_learns_as_in_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are noted with their keys. The content of an answer that is not streamed comes at its end."""
    keys, whole, streamed = set[str | None](), list[float | None](), list[float]()
    started, ended = Paces.started, Paces.ended

    def start(self: Paces, *given: Any, key: ProviderKey | None = None, **more: Any) -> Tried:
        keys.add(None if key is None else key.name)
        return started(self, *given, key=key, **more)

    def end(self: Paces, tried: Tried, failure: Failure | None, now: float, **more: Any) -> None:
        content_at = more["content_at"]
        if failure is None and not tried.call.stream:
            whole.append(now - content_at)
        elif failure is None:
            streamed.append(now - content_at)
        ended(self, tried, failure, now, **more)

    monkeypatch.setattr(Paces, "started", start)
    monkeypatch.setattr(Paces, "ended", end)
    run(small(traffic=Traffic(rate=6.0, whole=0.5), duration_s=20.0), CONTENDERS["adaptive"], 1)
    assert keys == {"k1", "k2"}
    assert whole
    assert set(whole) == {0.0}
    assert min(streamed) > 0
