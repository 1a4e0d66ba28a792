"""Structs of this package survive freezing. Other objects are not thawed, and no secret is written."""

import os
import pickle
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec import Struct

from pointsman.config.catalog import packaged
from pointsman.config.frozen import FrozenError, freeze, thaw
from pointsman.domain import origin
from pointsman.domain.limits import Period
from pointsman.domain.origin import (
    AwsKeys,
    AwsSource,
    Credential,
    EntraSource,
    GoogleSource,
    Origin,
    Secret,
    secret_of,
    secrets_in,
)
from pointsman.domain.targets import ProviderKey


def nothing(kind: str, name: str) -> object:
    raise AssertionError((kind, name))


def test_values_survive_freezing_and_thawing() -> None:
    one = Origin("https", "api.test", 443)
    value = [one, one, Period("day", 1, ZoneInfo("Asia/Tokyo")), Path("/a/b"), frozenset({1}), {b"a": (None, 1.5)}]
    data, secrets = freeze(value)
    found = thaw(data, nothing)
    assert found == value
    assert found[0] is found[1]
    assert secrets == {}


def test_secrets_and_catalogs_are_stored_by_reference() -> None:
    keys = (ProviderKey("a", Secret("sk-very-secret", "env.KEY")), ProviderKey("none", Secret("")))
    data, secrets = freeze((keys, packaged()))
    assert b"very-secret" not in data
    assert {name: one.reveal() for name, one in secrets.items()} == {"env.KEY": "sk-very-secret", "": ""}
    found = {"env.KEY": Secret("sk-other"), "": Secret(""), packaged().digest: packaged()}
    (key, none), catalog = thaw(data, lambda _, name: found[name])
    values = [secret_of(one.credential).reveal() for one in (key, none)]
    assert (values, catalog) == (["sk-other", ""], packaged())


@pytest.mark.parametrize(
    "credential",
    [
        AwsKeys("AKIA1", Secret("very-secret", "env.KEY"), Secret("very-secret too", "env.TOKEN")),
        AwsSource(AwsKeys("AKIA1", Secret("very-secret", "env.KEY")), "arn:aws:iam::1:role/a", "eu-west-1"),
        GoogleSource(Secret('{"private_key": "very-secret"}', "document:env.KEY")),
        EntraSource(
            tenant="t", client_id="c", client_secret=Secret("very-secret", "env.KEY"), authority="https://a", scope="s"
        ),
    ],
)
def test_every_kind_of_credential_survives_and_its_secrets_are_named(credential: Credential) -> None:
    data, secrets = freeze(ProviderKey("a", credential))
    assert b"very-secret" not in data
    assert sorted(secrets) == sorted(str(one.reference) for one in secrets_in(credential))
    assert "very-secret" not in repr(credential)
    found = thaw(data, lambda _, name: secrets[name])
    assert found.credential == credential


def test_secret_without_a_reference_is_not_frozen() -> None:
    with pytest.raises(TypeError, match="a secret cannot be serialized"):
        freeze(ProviderKey("a", Secret("sk-very-secret")))


def test_cached_heads_with_a_key_are_not_frozen() -> None:
    key = ProviderKey("a", Secret("sk-very-secret", "env.KEY"))
    key.cached_heads.known[("chat",)] = (b"authorization: Bearer sk-very-secret", b"")
    assert b"very-secret" not in freeze(key)[0]


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("value", [Trap(), os.system, freeze, Secret, ZoneInfo, print])
def test_objects_other_than_structs_are_not_thawed(value: object) -> None:
    with pytest.raises(FrozenError, match="is not allowed in a snapshot"):
        thaw(bytes(32) + pickle.dumps(value), nothing)


def test_thawing_cannot_change_a_class() -> None:
    """The pickle opcode for the state of an object could also set attributes of a class."""
    found = b"cpointsman.domain.origin\nOrigin\n"
    with pytest.raises(FrozenError):
        thaw(bytes(32) + found + b"(N}S'port'\nI1\nstb.", nothing)
    assert Origin("https", "api.test", 443).port == 443


@pytest.mark.parametrize(
    "data",
    [
        b"cpointsman.domain.failures\nFault\n(S'none of these'\ntR.",
        b"cpointsman.config.frozen\nEnum\n(S'A'\nS'B'\ntR.",
        b"(S'zone'\nS'../etc'\ntQ.",
        b"\x82\x01.",
    ],
    ids=["member", "enum", "zone", "extension"],
)
def test_invalid_content_raises_frozen_error(data: bytes) -> None:
    with pytest.raises(FrozenError):
        thaw(bytes(32) + data, nothing)


def test_changed_fields_of_a_struct_raise_frozen_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = freeze([Origin("https", "api.test", 443)])

    class Later(Struct, frozen=True):
        host: str
        scheme: str
        port: int

    Later.__module__, Later.__qualname__ = Origin.__module__, "Origin"
    monkeypatch.setattr(origin, "Origin", Later)
    with pytest.raises(FrozenError, match="fields of its structs differ"):
        thaw(data, nothing)


def test_damaged_bytes_raise_frozen_error() -> None:
    data, _ = freeze(Origin("https", "api.test", 443))
    for damaged in (b"", b"nonsense", data[:-3], data.replace(b"Origin", b"Orogin")):
        with pytest.raises(FrozenError):
            thaw(damaged, nothing)
