"""The number of recorded refusals is bounded, and the rest are counted."""

from pointsman.admin.refusals import AT_MOST, WINDOW_S, RefusalGate


def test_first_refusals_of_a_source_are_recorded() -> None:
    gate = RefusalGate()
    assert [gate.admit("strangers", 1.0) for _ in range(AT_MOST)] == [0] * AT_MOST
    assert gate.admit("strangers", 2.0) is None
    assert gate.admit("user:ann", 2.0) == 0, "each source has its own bound"


def test_flood_leaves_few_records_and_its_size() -> None:
    gate = RefusalGate()
    told = [gate.admit("strangers", 1.0) for _ in range(AT_MOST + 100_000)]
    assert [one for one in told[AT_MOST:] if one is not None] == [10, 100, 1000, 10_000, 100_000]


def test_next_window_begins_with_the_number_of_those_left_out() -> None:
    gate = RefusalGate()
    for _ in range(AT_MOST + 7):
        gate.admit("strangers", 1.0)
    assert gate.admit("strangers", 1.0 + WINDOW_S) == 7
    assert gate.admit("strangers", 2.0 + WINDOW_S) == 0


def test_old_windows_are_forgotten() -> None:
    gate = RefusalGate()
    for number in range(100):
        gate.admit(f"user:{number}", 1.0)
    gate.admit("strangers", 2.0 + WINDOW_S)
    assert len(gate._windows) == 1
