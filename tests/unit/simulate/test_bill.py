"""Charges as integers, and the cost of each outcome."""

import pytest

from pointsman.simulate.bill import Bill, Entry, Outcome, charge_nano
from pointsman.simulate.settings import Billing, Price

PRICE = Price(input_pico=150_000, output_pico=600_000, cached_pico=75_000)


def test_charges_are_rounded_up_once_per_call() -> None:
    cheap = Price(input_pico=20, output_pico=20, cached_pico=10)
    assert charge_nano(cheap, 0, 0, 0) == 0
    assert charge_nano(cheap, 1, 0, 0) == 1
    assert charge_nano(cheap, 49, 0, 1) == 1
    assert charge_nano(cheap, 50, 0, 1) == 2


def test_cached_tokens_are_part_of_the_prompt() -> None:
    assert charge_nano(PRICE, 10, 4, 3) == (6 * 150_000 + 4 * 75_000 + 3 * 600_000) // 1000


@pytest.mark.parametrize(
    ("outcome", "billing", "tokens_out", "charged_nano"),
    [
        ("complete", "none", 20, 10 * 150 + 20 * 600),
        ("cancelled", "none", 7, 0),
        ("cancelled", "sent", 7, 10 * 150 + 7 * 600),
        ("cancelled", "full", 20, 10 * 150 + 20 * 600),
        ("failed", "none", 7, 0),
        ("failed", "sent", 7, 10 * 150 + 7 * 600),
    ],
)
def test_each_outcome_has_its_cost(outcome: Outcome, billing: Billing, tokens_out: int, charged_nano: int) -> None:
    bill = Bill()
    entry = Entry(
        index=0,
        method="POST",
        path="/v1/chat/completions",
        key="",
        received_at=0.0,
        tokens_in=10,
        tokens_out=20,
        tokens_sent=7,
    )
    bill.open(entry)
    assert bill.totals().charged_nano == 0
    bill.close(entry, outcome, billing, PRICE)
    assert (entry.outcome, entry.tokens_out, entry.charged_nano) == (outcome, tokens_out, charged_nano)
    totals = bill.totals()
    assert (totals.requests, totals.tokens_in, totals.charged_nano) == (1, 10, charged_nano)
    assert getattr(totals, outcome) == 1
