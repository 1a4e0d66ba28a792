"""Settings in JSON, and samples of distributions."""

import random
import statistics

import msgspec
import pytest

from pointsman.simulate.settings import Lognormal, Settings, sample


def test_settings_are_read_from_json() -> None:
    text = """{
        "models": ["m"], "keys": {"sk-1": "", "sk-2": "status=401"}, "first_token_ms": 20,
        "token_gap_ms": {"type": "lognormal", "median": 5, "sigma": 0.5},
        "output_tokens": 3, "bill_cancelled": "full",
        "prices": {"m": {"input_pico": 1, "output_pico": 2, "cached_pico": 0}},
        "schedule": [{"fault": "hang", "from_request": 2}]
    }"""
    settings = msgspec.json.decode(text, type=Settings)
    assert settings.first_token_ms == 20
    assert settings.token_gap_ms == Lognormal(median=5, sigma=0.5)
    assert settings.output_tokens == 3
    assert msgspec.json.decode(b'{"output_tokens": "max_tokens"}', type=Settings).output_tokens == "max_tokens"


@pytest.mark.parametrize(
    "text", [b'{"modles": []}', b'{"cached_share": 2}', b'{"output_tokens": {"type": "list", "values": [3]}}']
)
def test_invalid_settings_are_errors(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Settings)


def test_distributions_are_sampled() -> None:
    rng = random.Random(5)
    assert sample(7.5, rng) == 7.5
    assert sample(-1.0, rng) == 0.0
    drawn = [sample(Lognormal(median=100, sigma=0.5, maximum=300), rng) for _ in range(4000)]
    assert 95 < statistics.median(drawn) < 105
    assert max(drawn) == 300
    assert 0 < min(drawn) < 40
