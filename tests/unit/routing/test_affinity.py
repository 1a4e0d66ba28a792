"""The match of a prompt with the caches of candidates."""

from collections import Counter
from statistics import fmean, stdev

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, failure, provider_key, snapshot_of
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.targets import candidate
from pointsman.routing.affinity import Affinity, Match
from pointsman.routing.health import block_key
from pointsman.routing.prefixes import domain_of
from pointsman.wire.prefixes import prefix_of

ITEMS = [candidate(endpoint(name, "k1"), "m") for name in "abc"]


def prompt(text: str = "x", size: int = 20_000) -> Call:
    body = b'[{"role":"user","content":"%b"}]' % (text * size).encode()[:size]
    return replace(call(), fields={"messages": Raw(body)}, size=len(body))


def match_of(affinity: Affinity, view: FakeView, request: Call) -> Match:
    found = affinity.match(request, view, NOW)
    assert found is not None
    return found


def note(view: FakeView, request: Call, place: int, key: int = 0) -> None:
    prefix = prefix_of(request)
    assert prefix is not None
    view.paces.prefixes.note(domain_of(ITEMS[place], ITEMS[place].keys[key]), prefix.blocks, NOW)


def test_tokens_are_expected_where_the_prompt_was_sent() -> None:
    view, affinity = FakeView(snapshot_of(endpoint("a"))), Affinity(ITEMS)
    note(view, prompt(), 1)
    assert match_of(affinity, view, prompt()).tokens == [0, 9 * 512, 0]
    assert match_of(affinity, view, prompt("y")).tokens == [0, 0, 0]


def test_tokens_lower_the_price_only_where_some_were_reported() -> None:
    view, affinity = FakeView(snapshot_of(endpoint("a"))), Affinity(ITEMS)
    note(view, prompt(), 1)
    note(view, prompt(), 2)
    view.paces.prefixes.learn(domain_of(ITEMS[2], ITEMS[2].keys[0]), 9 * 512, 9 * 512)
    assert match_of(affinity, view, prompt()).charged == [None, None, 9 * 512]


def test_no_more_tokens_are_expected_than_the_prompt_has() -> None:
    view, affinity = FakeView(snapshot_of(endpoint("a"))), Affinity(ITEMS)
    request = prompt()
    request = replace(request, media=replace(request.media, count=1, size=19_000))
    note(view, request, 1)
    assert match_of(affinity, view, request).tokens[1] < 1500


def test_blocked_keys_do_not_count() -> None:
    item = candidate(endpoint("a", provider_key("k1"), provider_key("k2")), "m")
    view, affinity = FakeView(snapshot_of(endpoint("a"))), Affinity([item])
    request, prefix = prompt(), prefix_of(prompt())
    assert prefix is not None
    view.paces.prefixes.note(domain_of(item, item.keys[0]), prefix.blocks, NOW)
    assert match_of(affinity, view, request).tokens == [9 * 512]
    block = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, 20.0), NOW, NOW)
    assert block is not None
    view.key_blocks = {("a", "k1", "m"): block}
    assert match_of(affinity, view, request).tokens == [0]


def test_single_cache_needs_no_affinity() -> None:
    view = FakeView(snapshot_of(endpoint("a")))
    assert Affinity(ITEMS[:1]).match(prompt(), view, NOW) is None
    shared = [replace(provider_key(name), cache_domain="org") for name in ("k1", "k2")]
    assert Affinity([candidate(endpoint("a", *shared), "m")]).match(prompt(), view, NOW) is None


def test_group_is_the_first_block_that_no_cache_has() -> None:
    view, affinity = FakeView(snapshot_of(endpoint("a"))), Affinity(ITEMS)
    blocks = match_of(affinity, view, prompt()).prefix.blocks
    assert match_of(affinity, view, prompt()).prefix.group == blocks[0]
    note(view, prompt(size=5000), 0)
    assert match_of(affinity, view, prompt()).prefix.group == blocks[2]
    assert match_of(affinity, view, replace(prompt(), head=replace(prompt().head, session="s"))).prefix.group > 0


def test_groups_draw_numbers_that_are_theirs_and_evenly_distributed() -> None:
    one, other = Affinity(ITEMS), Affinity(ITEMS[1:])
    groups = [number * 2_654_435_761 % 2**32 for number in range(1, 4001)]
    first = Counter(min(range(3), key=lambda place: one.share(place, group)) for group in groups)
    assert all(1100 < count < 1600 for count in first.values())
    drawn = [one.share(1, group) for group in groups]
    assert abs(fmean(drawn) - 0.5) < 0.02
    assert stdev(drawn) == pytest.approx(12**-0.5, rel=0.05)
    assert [other.share(0, group) for group in groups] == drawn, "the other candidates do not matter"
