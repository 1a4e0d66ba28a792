"""Answers tell a virtual key what is left of the tightest limit of each metric."""

from collections.abc import Callable, Sequence
from time import time

import pytest
from msgspec.structs import replace

from fakes.money import asking, limit
from fakes.routing import endpoint, snapshot
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.leases import ALONE, NO_SHARE, Grant, LeaseRequest, LeaseUnavailable, Share
from pointsman.domain.limits import Limit
from pointsman.domain.targets import Candidate, candidate
from pointsman.engine import remains as module
from pointsman.engine.billing import Billing, ReservedAttempt
from pointsman.engine.live import Live
from pointsman.engine.remains import Remains, reset_text
from pointsman.money.ledger import Ledger
from pointsman.providers._openai_errors import retry_after_s

ALPHA = candidate(endpoint("alpha"), "gpt-4o")
REQUESTS, TOKENS = limit("requests", 10), limit("tokens", 1000, "year")
BUDGET = limit("usd", 1_000_000_000, "year")
HALF = Share(1, 2, 0.0)


class Control:
    """A line to control. `answer` says what is left of everything."""

    def __init__(self, left: int, lent: int) -> None:
        self.asked: list[list[LeaseRequest]] = []
        self.left = left
        self.lent = lent
        self.is_silent = False

    def ask(
        self, wants: Sequence[LeaseRequest], answered: Callable[[Sequence[Grant] | LeaseUnavailable], None]
    ) -> None:
        self.asked.append(list(wants))
        if self.is_silent:
            answered(LeaseUnavailable("it is silent"))
        else:
            answered([Grant(want.counter, want.window, 0, self.left, self.lent) for want in wants])


class Scene:
    def __init__(
        self,
        *limits: Limit,
        entry: tuple[Limit, ...] = (),
        control: Control | None = None,
        share: Share = ALONE,
    ) -> None:
        entries = {"alpha": ProviderEntry("alpha", limits=entry)} if entry else {}
        self.key = VirtualKey(name="me", digest=b"d", team="t", customer="c", limits=limits, entries=entries)
        self.snapshot = snapshot([ALPHA.endpoint])
        self.billing = Billing(Live(self.snapshot), Ledger(share), None, control)
        self.remains = Remains()

    def tells(self, served_by: Candidate | None = ALPHA) -> dict[str, str]:
        lines = self.remains.lines(self.billing, self.snapshot, self.key, served_by).decode()
        return dict(line.split(": ") for line in lines.split("\r\n") if line)

    def take(self, name: str = "r") -> ReservedAttempt:
        found = self.billing.hold(
            self.billing.billing_terms.find(self.snapshot, self.key, ALPHA), asking(max_tokens=100), name, 1
        )
        assert isinstance(found, ReservedAttempt)
        return found


def test_the_names_are_openais() -> None:
    scene = Scene(REQUESTS, TOKENS)
    hold = scene.take()
    told = scene.tells()
    assert told.pop("x-ratelimit-reset-requests").endswith("s")
    assert told.pop("x-ratelimit-reset-tokens").endswith("s")
    assert told == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": str(1000 - hold.bound.tokens),
    }


def test_a_budget_is_told_in_dollars() -> None:
    assert Scene(BUDGET).tells() == {"x-pointsman-budget-remaining-usd": "1"}
    assert Scene(limit("usd", 1_500)).tells() == {"x-pointsman-budget-remaining-usd": "0.0000015"}


def test_the_tightest_of_each_metric_is_told() -> None:
    team = limit("requests", 4, "hour", level="team", name="t")
    entry = limit("requests", 2, "hour", level="entry", name="me/alpha")
    provider = limit("requests", 1, level="provider", name="alpha")
    scene = Scene(REQUESTS, team, entry=(entry,))
    assert scene.tells()["x-ratelimit-limit-requests"] == "2"
    assert scene.tells(None)["x-ratelimit-limit-requests"] == "4", "nobody served it"
    other = candidate(replace(endpoint("beta"), limits=(provider,)), "gpt-4o")
    assert scene.tells(other)["x-ratelimit-limit-requests"] == "4", "a provider's own limits are not the client's"


def test_of_two_that_are_equally_tight_the_one_that_lasts_is_told() -> None:
    for limits in ((minute := limit("requests", 5, "minute"), limit("requests", 5, "year")), (minute,)):
        resets = Scene(*limits).tells()["x-ratelimit-reset-requests"]
        assert ("h" in resets) is (len(limits) == 2), "unless the year ends within the hour"


def test_who_has_no_limit_that_refuses_is_told_nothing() -> None:
    assert Scene().tells() == {}
    assert Scene(limit("usd", 10, soft=True)).tells() == {}


def test_the_whole_limit_is_left_of_a_window_that_opened_under_everyones_eyes() -> None:
    scene = Scene(REQUESTS, share=HALF)
    scene.take()
    assert scene.tells()["x-ratelimit-remaining-requests"] == "9", "others have not spent that we know of"


def test_of_a_window_that_began_before_this_worker_nothing_is_told_before_control_has() -> None:
    control = Control(left=3, lent=0)
    scene = Scene(REQUESTS, limit("requests", 50, "hour"), BUDGET, share=NO_SHARE, control=control)
    (window,) = scene.billing.ledger.present(scene.billing.ledger.account((BUDGET,)), time())
    window.opened = BUDGET.amount
    window.grant(BUDGET.amount)
    control.is_silent = True
    assert scene.tells() == {"x-pointsman-budget-remaining-usd": "1"}, "the tightest limit of requests is not known"
    control.is_silent = False
    scene.remains = Remains()
    assert scene.tells()["x-ratelimit-limit-requests"] == "10"


def test_control_says_what_others_spent() -> None:
    control = Control(left=2, lent=1)
    scene = Scene(REQUESTS, share=HALF, control=control)
    scene.take()
    assert scene.tells()["x-ratelimit-remaining-requests"] == "7", "four of its own, two that are free, one of another"
    assert control.asked == [[LeaseRequest(REQUESTS.counter, control.asked[0][0].window, 0, 5)]], "it takes nothing"


def test_it_is_never_less_than_the_worker_holds_nor_more_than_the_limit() -> None:
    assert Scene(REQUESTS, share=HALF, control=Control(0, 0)).tells()["x-ratelimit-remaining-requests"] == "5"
    assert Scene(REQUESTS, share=HALF, control=Control(9, 9)).tells()["x-ratelimit-remaining-requests"] == "10"


def test_an_overrun_leaves_nothing_rather_than_less() -> None:
    scene = Scene(TOKENS)
    scene.billing.ledger.settle(scene.take().attempt, 0, 5000)
    assert scene.tells()["x-ratelimit-remaining-tokens"] == "0"


def test_control_is_asked_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    control = Control(0, 0)
    scene = Scene(REQUESTS, TOKENS, control=control)
    for clock[0] in (100.0, 100.5, 100.99, 101.0, 101.5):
        scene.tells()
    assert [len(wants) for wants in control.asked] == [2, 2]


def test_a_new_configuration_is_told_of_and_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHOWN", 2)
    scene = Scene(REQUESTS)
    scene.tells()
    lower = limit("requests", 7)
    scene.key = VirtualKey(name="me", digest=b"d", limits=(lower,))
    scene.snapshot = snapshot([ALPHA.endpoint])
    scene.billing.ledger.reconfigure({lower.counter: lower}, time())
    assert scene.tells()["x-ratelimit-limit-requests"] == "7"
    assert len(scene.remains._shown.of(scene.snapshot)) == 1
    for name in ("a", "b", "c"):
        scene.tells(candidate(endpoint(name), "m"))
    assert len(scene.remains._shown.of(scene.snapshot)) <= 2


@pytest.mark.parametrize(
    ("wait_s", "text"),
    [
        (-1, "0ms"),
        (0, "0ms"),
        (0.0123, "13ms"),
        (1, "1s"),
        (59.2, "1m0s"),
        (59, "59s"),
        (360, "6m0s"),
        (3599.5, "1h0m0s"),
        (86_399, "23h59m59s"),
        (30 * 86_400, "720h0m0s"),
    ],
)
def test_a_reset_is_written_as_openai_writes_durations(wait_s: float, text: str) -> None:
    assert reset_text(wait_s).decode() == text
    headers = {b"x-ratelimit-remaining-requests": b"0", b"x-ratelimit-reset-requests": text.encode()}
    read = retry_after_s(headers, time())
    assert read is not None
    assert min(wait_s, read) <= read <= max(wait_s, 0) + 1, "as this gateway reads it of another"
