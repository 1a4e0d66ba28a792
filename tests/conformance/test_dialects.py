"""Rules for every dialect in which conversations are requested, and for every ordered pair of them.

Nothing is lost without a word. A feature of a request is translated, or it is named: as one that the dialect cannot
express, as dropped, or as a change on the reference page of the dialects. The probes of `fakes.dialects` make the page.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.answered import answer_differences, answers, groups
from fakes.dialects import (
    PAIRS,
    answer_changes,
    features_of,
    halves,
    origin_of,
    own_answer_changes,
    own_changes,
    plain_call,
    probed,
    sent,
    streamed,
    translated,
    whole,
)
from fakes.requested import differences, drawn, lost_texts
from pointsman.domain.conversations import Conversation
from pointsman.domain.pieces import Piece
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.translation import DROPPABLE

Drawn = tuple[Conversation, frozenset[str]]
PER_DIALECT = [100, pytest.param(10_000, marks=pytest.mark.slow)]
PER_PAIR = [50, pytest.param(2_000, marks=pytest.mark.slow)]
each_dialect = pytest.mark.parametrize("dialect", CONVERSATIONS, ids=lambda one: one.name)
each_pair = pytest.mark.parametrize(
    ("client", "provider"), PAIRS, ids=[f"{client.name} to {provider.name}" for client, provider in PAIRS]
)


@each_dialect
@pytest.mark.parametrize("count", PER_DIALECT)
def test_conversation_survives_its_own_dialect(dialect: Dialect, count: int) -> None:
    origin, features, changes = origin_of(dialect), features_of(dialect), own_changes(dialect)

    @settings(max_examples=count)
    @given(drawn(origin, features), st.booleans())
    def check(given: Drawn, is_streamed: bool) -> None:
        conversation, used = given
        call = sent(dialect, conversation, streamed=is_streamed)
        if call is None:
            return
        read = halves(dialect).read_request(call)
        assert call.stream == is_streamed
        assert not lost_texts(conversation, read)
        assert set(differences(conversation, read)) <= {name for feature in used for name in changes[feature]}
        again = sent(dialect, read, streamed=is_streamed)
        assert again is not None
        assert halves(dialect).read_request(again) == replace(read, labels=())  # which are dropped

    check()


@each_dialect
@pytest.mark.parametrize("count", PER_DIALECT)
def test_answer_survives_its_own_dialect(dialect: Dialect, count: int) -> None:
    call, whole_call, allowed = (
        plain_call(dialect, streamed=True),
        plain_call(dialect, streamed=False),
        own_answer_changes(dialect),
    )

    @settings(max_examples=count)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        pieces = data.draw(answers(origin_of(dialect)))
        in_parts = halves(dialect).writer(call, 1e9)
        stream = b"".join(in_parts.write(group) for group in data.draw(groups(pieces)))
        assert stream == halves(dialect).writer(call, 1e9).write(pieces)
        by_stream, at_once = streamed(dialect, call, pieces), whole(dialect, whole_call, pieces)
        assert set(answer_differences(pieces, by_stream)) <= allowed
        assert set(answer_differences(pieces, at_once)) <= allowed

    check()


@each_pair
def test_content_of_requests_and_answers_never_changes(client: Dialect, provider: Dialect) -> None:
    found = probed(client, provider)
    assert not found.allowed & {"calls", "results", "images", "audio", "tools", "max_tokens", "other fields"}
    assert not found.allowed_in_answers & {"the text", "reasoning", "calls", "tokens_in", "tokens_out"}


@each_pair
@pytest.mark.parametrize("count", PER_PAIR)
def test_request_loses_nothing_but_the_listed_details(client: Dialect, provider: Dialect, count: int) -> None:
    found = probed(client, provider)
    features = [feature for feature in features_of(client) if feature.name not in found.cannot]

    @settings(max_examples=count)
    @given(drawn(origin_of(client), features))
    def check(given: Drawn) -> None:
        conversation, used = given
        call = sent(client, conversation)
        if call is None:
            return
        read = halves(client).read_request(call)
        written, again = translated(client, provider, call)
        assert set(written.dropped) <= DROPPABLE
        if again is None:
            return  # nothing is sent, and the client learns why
        assert not lost_texts(read, again)
        listed = {name for feature in used for name in found.changed.get(feature, ())}
        assert set(differences(read, again)) <= listed
        assert set(written.dropped) <= {name for feature in used for name in found.dropped.get(feature, ())}

    check()


@each_pair
def test_request_is_rejected_if_a_feature_cannot_be_expressed(client: Dialect, provider: Dialect) -> None:
    cannot = probed(client, provider).cannot
    features = [feature for feature in features_of(client) if feature.name in cannot]

    @settings(max_examples=100)
    @given(drawn(origin_of(client), features, least=1))
    def check(given: Drawn) -> None:
        call = sent(client, given[0])
        if call is not None:
            written, _ = translated(client, provider, call)
            assert written.cannot
            assert all(reason == reason.strip() != "" for reason in written.cannot)

    check()


@each_pair
@pytest.mark.parametrize("count", PER_PAIR)
def test_answer_loses_nothing_but_the_listed_details(client: Dialect, provider: Dialect, count: int) -> None:
    allowed = probed(client, provider).allowed_in_answers

    @settings(max_examples=count)
    @given(answers(origin_of(provider)))
    def check(pieces: list[Piece]) -> None:
        assert set(answer_changes(client, provider, pieces)) <= allowed

    check()
