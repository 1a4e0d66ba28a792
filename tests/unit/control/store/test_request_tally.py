"""Sums over requests."""

import msgspec

from fakes.control import record, request_id
from pointsman.control.store.request_tally import CountedRequest, RequestTally
from pointsman.domain.records import RequestRecord
from unit.control.store.test_store import DAY

_DECODER = msgspec.json.Decoder(RequestRecord)


def request(number: int, at: float, **fields: object) -> RequestRecord:
    return _DECODER.decode(record(request_id(number, at), at, **fields))


def test_requests_of_one_minute_and_status_are_one_row() -> None:
    tally = RequestTally()
    for number, (at, status) in enumerate(((0, 200), (59.9, 200), (30, 429), (60, 200), (61, 0))):
        tally.add(request(number, DAY + at, status=status, ttft_us=1000 if number else None))
    rows = {(row["minute"] - DAY, row["status"]): row for row in tally.minutes()}
    assert {key: (row["requests"], row["failures"], row["nano"]) for key, row in rows.items()} == {
        (0, "200"): (2, 0, 140),
        (0, "429"): (1, 1, 70),
        (60, "200"): (1, 0, 70),
        (60, "0"): (1, 1, 70),
    }
    assert (rows[0, "200"]["streams"], rows[0, "200"]["ttft_us"], rows[0, "200"]["duration_us"]) == (1, 1000, 5000)


def test_session_has_its_span_and_agents() -> None:
    tally = RequestTally()
    tally.add(request(1, DAY + 5, session="s", agent="b", parent_agent="a"))
    tally.add(request(2, DAY + 3, session="s", agent="b"))
    tally.add(request(3, DAY + 9, session="s", team=None))
    tally.add(request(4, DAY + 9))
    ((row,), (agent,)) = tally.sessions(), tally.agents()
    assert (row["session"], row["virtual_key"], row["requests"], row["nano"]) == ("s", "me", 3, 210)
    assert (row["first_at"], row["last_at"]) == (DAY + 3, DAY + 9)
    assert (agent["agent"], agent["parent_agent"], agent["requests"]) == ("b", "a", 2)


def test_correction_changes_the_same_sums() -> None:
    tally = RequestTally()
    one = request(1, DAY, session="s", tags={"env": "dev"})
    tally.add(one)
    counted = CountedRequest(
        time=DAY, status=200, virtual_key="me", team="research", provider="openai", upstream_model="gpt-4o",
        tags={"env": "dev"}, session="s",
    )  # fmt: skip
    tally.correct(counted, {"nano": -20, "tokens_in": 4})
    for (row,) in (tally.minutes(), tally.tags(), tally.sessions()):
        assert (row["requests"], row["nano"], row["tokens_in"]) == (1, 50, 14)
