"""Origins, and secrets that stay hidden."""

import copy
import pickle

import msgspec
import pytest

from fakes.routing import endpoint
from pointsman.domain.origin import Origin, Secret

VALUE = "sk-very-secret"
SECRET = Secret(VALUE)


def test_secret_is_hidden_until_revealed() -> None:
    assert SECRET.reveal() == VALUE
    for shown in (repr(SECRET), str(SECRET), f"{SECRET}", f"{[SECRET]}", repr({"key": SECRET})):
        assert VALUE not in shown
    assert "secret of" not in repr(endpoint("a"))


@pytest.mark.parametrize("dump", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode])
def test_secret_is_not_serialised(dump: object) -> None:
    assert callable(dump)
    with pytest.raises(TypeError):
        dump(SECRET)


def test_equal_secrets_have_equal_hashes() -> None:
    assert len({SECRET, Secret(VALUE)}) == 1
    assert Secret("other") != SECRET
    assert SECRET != VALUE


def test_origin_prints_as_an_address() -> None:
    assert str(Origin("https", "api.test", 443)) == "https://api.test:443"


@pytest.mark.parametrize(
    ("origin", "address", "authority"),
    [
        (Origin("http", "a.example", 80), "a.example:80", "a.example"),
        (Origin("https", "a.example", 80), "a.example:80", "a.example:80"),
        (Origin("https", "a.example", 443), "a.example:443", "a.example"),
        (Origin("http", "::1", 8080), "[::1]:8080", "[::1]:8080"),
        (Origin("http", "[::1]", 80), "[::1]:80", "[::1]"),
    ],
)
def test_address_and_authority_are_as_in_a_url(origin: Origin, address: str, authority: str) -> None:
    assert (origin.address, origin.authority) == (address, authority)
