"""The simulated cache of prompts."""

from msgspec import Raw

from pointsman.simulate.prompt_cache import LEAST_BYTES, STEP_BYTES, PromptCache


def share(cache: PromptCache, prompt: str, key: str = "k", model: str = "m") -> float:
    return cache.share(key, model, {"prompt": Raw(prompt.encode())})


def test_prompt_is_cached_as_far_as_it_begins_like_an_earlier_one() -> None:
    cache, long = PromptCache(5), "a" * 8192
    assert share(cache, long) == 0.0
    assert share(cache, long) == 1.0
    assert share(cache, long + "b" * 8192) == 0.5
    assert share(cache, "a" * 6000 + "c" * 2192) == 6000 // STEP_BYTES * STEP_BYTES / 8192


def test_short_prompts_and_other_keys_and_models_share_nothing() -> None:
    cache, long = PromptCache(5), "a" * 8192
    short = "a" * (LEAST_BYTES - 1)
    assert [share(cache, short), share(cache, short)] == [0.0, 0.0]
    share(cache, long)
    assert share(cache, long, key="other") == 0.0
    assert share(cache, long, model="other") == 0.0


def test_oldest_prompts_are_forgotten() -> None:
    cache = PromptCache(1)
    share(cache, "a" * 8192)
    share(cache, "b" * 8192)
    assert share(cache, "a" * 8192) == 0.0
    cache.clear()
    assert share(cache, "a" * 8192) == 0.0
