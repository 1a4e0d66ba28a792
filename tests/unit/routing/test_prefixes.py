"""The knowledge of caches: blocks by domain, with their age, and the reports of providers."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import endpoint, provider_key
from pointsman.domain.targets import candidate
from pointsman.routing.prefixes import LEAST_UNREPORTED, MOST_BLOCKS, MOST_DOMAINS, TTL_S, Prefixes, domain_of

A, B = ("a/m", "k1"), ("b/m", "k1")
PROMPT = tuple(range(100, 110))


def test_prompt_is_matched_where_it_was_sent() -> None:
    prefixes = Prefixes()
    assert prefixes.matched(A, PROMPT, 0.0) == 0
    prefixes.note(A, PROMPT, 0.0)
    assert prefixes.matched(A, PROMPT, 1.0) == 10
    assert prefixes.matched(B, PROMPT, 1.0) == 0
    assert prefixes.matched(A, (*PROMPT, 1, 2), 1.0) == 10
    assert prefixes.matched(A, (*PROMPT[:4], 1, 2, 3), 1.0) == 4


def test_blocks_are_forgotten_some_time_after_their_last_use() -> None:
    prefixes = Prefixes()
    prefixes.note(A, PROMPT, 0.0)
    prefixes.note(A, PROMPT[:5], 200.0)
    assert prefixes.matched(A, PROMPT, 299.0) == 10
    assert prefixes.matched(A, PROMPT, 301.0) == 5
    assert prefixes.matched(A, PROMPT, 200.0 + TTL_S + 1) == 0


@given(st.integers(0, 10_000))
def test_match_is_the_longest_run_of_fresh_blocks(seed: int) -> None:
    rng, prefixes, used, now = Random(seed), Prefixes(), dict[int, float](), 1.0
    tree = dict[tuple[str, ...], int]()
    for _ in range(30):
        now += rng.choice([1.0, 40.0, 200.0])
        path = tuple(rng.choice("xy") for _ in range(rng.randint(1, 8)))
        blocks = [tree.setdefault(path[: end + 1], len(tree)) for end in range(len(path))]
        expected = 0
        for block in blocks:
            if used.get(block, -1e9) <= now - TTL_S:
                break
            expected += 1
        assert prefixes.matched(A, blocks, now) == expected
        prefixes.note(A, blocks, now)
        used.update(dict.fromkeys(blocks, now))


def test_memory_is_bounded() -> None:
    prefixes = Prefixes()
    for number in range(3 * MOST_BLOCKS // 50):
        prefixes.note(A, range(50 * number, 50 * number + 50), 0.001 * number)
        assert len(prefixes) <= MOST_BLOCKS + 50
    assert prefixes.matched(A, range(50 * number, 50 * number + 50), 1.0) == 50
    for number in range(MOST_DOMAINS + 5):
        prefixes.note((f"a/{number}", "k1"), (1,), 0.0)
    assert len(prefixes) <= MOST_BLOCKS


def test_failed_request_leaves_only_blocks_that_were_used_since() -> None:
    prefixes = Prefixes()
    prefixes.note(A, PROMPT, 1.0)
    prefixes.note(A, PROMPT[:6], 2.0)
    prefixes.forget(A, PROMPT, 1.0)
    assert prefixes.matched(A, PROMPT, 3.0) == 6
    prefixes.forget(B, PROMPT, 1.0)


def test_reports_correct_the_expected_tokens() -> None:
    prefixes = Prefixes()
    prefixes.note(A, PROMPT, 0.0)
    assert prefixes.tokens(A, 10) == 5120
    assert prefixes.tokens(A, 1) == 0, "less than providers cache"
    assert not prefixes.has_reported(A)
    for _ in range(100):
        prefixes.learn(A, 5120, 2560)
    assert prefixes.has_reported(A)
    assert round(prefixes.tokens(A, 10)) == 2560
    for _ in range(100):
        prefixes.learn(A, 5120, 0)
    assert round(prefixes.tokens(A, 10)) == 0


def test_silence_about_caches_is_no_proof_against_one() -> None:
    prefixes = Prefixes()
    prefixes.note(A, PROMPT, 0.0)
    for _ in range(100):
        prefixes.learn(A, 5120, 0)
    assert prefixes.tokens(A, 10) == LEAST_UNREPORTED * 5120
    prefixes.learn(B, 5120, 512)
    assert not prefixes.has_reported(B), "it is unknown"


def test_keys_of_one_domain_share_a_cache() -> None:
    keys = [provider_key("k1"), replace(provider_key("k2"), cache_domain="org"), replace(provider_key("org"))]
    item = candidate(endpoint("a", *keys), "m")
    domains = [domain_of(item, key) for key in item.keys]
    assert domains == [("a/m", "k1"), ("a/m", "org"), ("a/m", "org")]
