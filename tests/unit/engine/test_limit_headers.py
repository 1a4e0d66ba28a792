"""Answers to a virtual key have headers with the amount left of the tightest limit of each metric."""

from collections.abc import Callable, Sequence
from time import time

import pytest
from msgspec.structs import replace

from fakes.money import limit, make_call
from fakes.routing import endpoint, snapshot
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.leases import ALONE, NO_SHARE, Grant, LeaseRequest, LeaseUnavailable, Share
from pointsman.domain.limits import Limit
from pointsman.domain.targets import Candidate, candidate
from pointsman.engine import limit_headers as module
from pointsman.engine.billing import Billing, ReservedAttempt
from pointsman.engine.limit_headers import LimitHeaders, reset_text
from pointsman.engine.live import Live
from pointsman.money.ledger import Ledger
from pointsman.providers._openai_errors import retry_after_s

ALPHA = candidate(endpoint("alpha"), "gpt-4o")
REQUESTS, TOKENS = limit("requests", 10), limit("tokens", 1000, "year")
BUDGET = limit("usd", 1_000_000_000, "year")
HALF = Share(1, 2, 0.0)


class Control:
    """A client of control. Each answer has `left` of every limit, and `leased` to other workers."""

    def __init__(self, left: int, leased: int) -> None:
        self.requests: list[list[LeaseRequest]] = []
        self.left = left
        self.leased = leased
        self.is_silent = False

    def ask(
        self, requests: Sequence[LeaseRequest], on_answer: Callable[[Sequence[Grant] | LeaseUnavailable], None]
    ) -> None:
        self.requests.append(list(requests))
        if self.is_silent:
            on_answer(LeaseUnavailable("it is silent"))
        else:
            on_answer([Grant(request.counter, request.window, 0, self.left, self.leased) for request in requests])


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
        self.limit_headers = LimitHeaders()

    def headers(self, served_by: Candidate | None = ALPHA) -> dict[str, str]:
        lines = self.limit_headers.lines(self.billing, self.snapshot, self.key, served_by).decode()
        return dict(line.split(": ") for line in lines.split("\r\n") if line)

    def reserve(self, name: str = "r") -> ReservedAttempt:
        found = self.billing.reserve(
            self.billing.terms_cache.find(self.snapshot, self.key, ALPHA), make_call(max_tokens=100), name, 1
        )
        assert isinstance(found, ReservedAttempt)
        return found


def test_header_names_are_those_of_openai() -> None:
    scene = Scene(REQUESTS, TOKENS)
    reserved = scene.reserve()
    headers = scene.headers()
    assert headers.pop("x-ratelimit-reset-requests").endswith("s")
    assert headers.pop("x-ratelimit-reset-tokens").endswith("s")
    assert headers == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": str(1000 - reserved.bound.tokens),
    }


def test_budget_is_shown_in_dollars() -> None:
    assert Scene(BUDGET).headers() == {"x-pointsman-budget-remaining-usd": "1"}
    assert Scene(limit("usd", 1_500)).headers() == {"x-pointsman-budget-remaining-usd": "0.0000015"}


def test_tightest_limit_of_each_metric_is_shown() -> None:
    team = limit("requests", 4, "hour", level="team", name="t")
    entry = limit("requests", 2, "hour", level="entry", name="me/alpha")
    provider = limit("requests", 1, level="provider", name="alpha")
    scene = Scene(REQUESTS, team, entry=(entry,))
    assert scene.headers()["x-ratelimit-limit-requests"] == "2"
    assert scene.headers(None)["x-ratelimit-limit-requests"] == "4", "no provider served the request"
    other = candidate(replace(endpoint("beta"), limits=(provider,)), "gpt-4o")
    assert scene.headers(other)["x-ratelimit-limit-requests"] == "4", "a provider's own limits are not the client's"


def test_longer_of_two_equally_tight_limits_is_shown() -> None:
    for limits in ((minute := limit("requests", 5, "minute"), limit("requests", 5, "year")), (minute,)):
        resets = Scene(*limits).headers()["x-ratelimit-reset-requests"]
        assert ("h" in resets) is (len(limits) == 2), "unless the year ends within the hour"


def test_key_without_a_hard_limit_gets_no_headers() -> None:
    assert Scene().headers() == {}
    assert Scene(limit("usd", 10, soft=True)).headers() == {}


def test_window_opened_by_this_worker_has_the_whole_limit_left() -> None:
    scene = Scene(REQUESTS, share=HALF)
    scene.reserve()
    assert scene.headers()["x-ratelimit-remaining-requests"] == "9", "no spending of others is known"


def test_older_window_is_shown_only_after_an_answer_of_control() -> None:
    control = Control(left=3, leased=0)
    scene = Scene(REQUESTS, limit("requests", 50, "hour"), BUDGET, share=NO_SHARE, control=control)
    (window,) = scene.billing.ledger.present(scene.billing.ledger.account((BUDGET,)), time())
    window.opened = BUDGET.amount
    window.grant(BUDGET.amount)
    control.is_silent = True
    assert scene.headers() == {"x-pointsman-budget-remaining-usd": "1"}, "the tightest limit of requests is unknown"
    control.is_silent = False
    scene.limit_headers = LimitHeaders()
    assert scene.headers()["x-ratelimit-limit-requests"] == "10"


def test_spending_of_other_workers_is_subtracted() -> None:
    control = Control(left=2, leased=1)
    scene = Scene(REQUESTS, share=HALF, control=control)
    scene.reserve()
    assert scene.headers()["x-ratelimit-remaining-requests"] == "7", (
        "four of its own, two at control, one of another worker"
    )
    assert control.requests == [[LeaseRequest(REQUESTS.counter, control.requests[0][0].window, 0, 5)]], (
        "it requests no amount"
    )


def test_amount_left_is_between_the_worker_lease_and_the_limit() -> None:
    assert Scene(REQUESTS, share=HALF, control=Control(0, 0)).headers()["x-ratelimit-remaining-requests"] == "5"
    assert Scene(REQUESTS, share=HALF, control=Control(9, 9)).headers()["x-ratelimit-remaining-requests"] == "10"


def test_overrun_shows_zero_instead_of_a_negative_amount() -> None:
    scene = Scene(TOKENS)
    scene.billing.ledger.settle(scene.reserve().attempt_id, 0, 5000)
    assert scene.headers()["x-ratelimit-remaining-tokens"] == "0"


def test_control_is_asked_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    control = Control(0, 0)
    scene = Scene(REQUESTS, TOKENS, control=control)
    for clock[0] in (100.0, 100.5, 100.99, 101.0, 101.5):
        scene.headers()
    assert [len(requests) for requests in control.requests] == [2, 2]


def test_new_configuration_is_shown_and_the_memo_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHOWN", 2)
    scene = Scene(REQUESTS)
    scene.headers()
    lower = limit("requests", 7)
    scene.key = VirtualKey(name="me", digest=b"d", limits=(lower,))
    scene.snapshot = snapshot([ALPHA.endpoint])
    scene.billing.ledger.reconfigure({lower.counter: lower}, time())
    assert scene.headers()["x-ratelimit-limit-requests"] == "7"
    assert len(scene.limit_headers._shown.of(scene.snapshot)) == 1
    for name in ("a", "b", "c"):
        scene.headers(candidate(endpoint(name), "m"))
    assert len(scene.limit_headers._shown.of(scene.snapshot)) <= 2


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
def test_reset_time_has_the_format_of_openai(wait_s: float, text: str) -> None:
    assert reset_text(wait_s).decode() == text
    headers = {b"x-ratelimit-remaining-requests": b"0", b"x-ratelimit-reset-requests": text.encode()}
    read = retry_after_s(headers, time())
    assert read is not None
    assert min(wait_s, read) <= read <= max(wait_s, 0) + 1, "the gateway can read its own format"
