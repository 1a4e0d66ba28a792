"""Windows of limits that open with nothing."""

import pytest
from msgspec.structs import replace

from fakes.money import limit
from pointsman.domain.limits import Limit
from pointsman.money import waived as module
from pointsman.money.waived import WaivedWindows

NOW = 1_700_000_000.0
TOKENS = limit("tokens", 100)
START, END = TOKENS.period.window(NOW)


def test_waived_window_opens_with_nothing_once() -> None:
    windows = WaivedWindows()
    windows.waive("a", START, NOW)
    assert list(windows) == [("a", START)]
    assert windows.take("a", START)
    assert not windows.take("a", START), "the window itself records its lease from then on"
    assert not windows.take("b", START)


def test_windows_that_have_begun_open_with_nothing() -> None:
    windows = WaivedWindows()
    windows.waive_begun(NOW)
    assert windows.take("a", START)
    assert not windows.take("a", END)
    windows.waive_begun(NOW - 1000)
    assert windows.since == NOW


def test_number_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAIVED", 3)
    windows = WaivedWindows()
    for number in range(10):
        windows.waive(str(number), START, NOW)
    assert len(windows) <= 3
    assert all(windows.take(str(number), START) for number in range(10))


@pytest.mark.parametrize(
    ("limits", "now", "is_known"),
    [
        ({"a": TOKENS}, NOW, True),
        ({"a": TOKENS}, END, False),
        ({}, NOW, False),
        ({"a": replace(TOKENS, amount=7)}, NOW, True),
    ],
)
def test_windows_that_ended_or_whose_limit_was_removed_are_forgotten(
    limits: dict[str, Limit], now: float, is_known: bool
) -> None:
    windows = WaivedWindows()
    windows.waive("a", START, NOW)
    windows.forget(limits, now)
    assert ("a", START) in list(windows) or not is_known
    assert len(windows) == is_known
