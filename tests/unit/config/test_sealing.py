"""Secrets are sealed for one field of one provider at one address."""

from pathlib import Path
from typing import Any

import pytest

from pointsman.config.references import BadReference, References
from pointsman.config.sealing import (
    VARIABLE,
    MasterKeys,
    SealError,
    bind_seals,
    bound,
    context_of,
    map_secrets,
    seals_in,
)

KEY = "k" * 40
SPEC: dict[str, Any] = {
    "type": "openai-compatible",
    "base_url": "https://one.example/v1",
    "keys": {"a": {"value": "sk-1"}, "b": {"entra": {"client_secret": "s"}}, "c": {"aws": {"secret_access_key": "t"}}},
}


def keys(text: str = KEY) -> MasterKeys:
    return MasterKeys({VARIABLE: text}, None)


def test_seal_is_opened_in_its_place_alone() -> None:
    sealed = keys().seal("sk-1", context_of("up", SPEC, "keys.a.value"))
    assert "sk-1" not in sealed
    assert keys().open(bound(sealed, "up", SPEC, "keys.a.value")) == "sk-1"
    elsewhere = {**SPEC, "base_url": "https://two.example/v1"}
    for place in (("down", SPEC, "keys.a.value"), ("up", elsewhere, "keys.a.value"), ("up", SPEC, "keys.b.value")):
        with pytest.raises(SealError, match="give it again"):
            keys().open(bound(sealed, *place))


def test_path_of_the_address_is_not_part_of_the_seal() -> None:
    sealed = keys().seal("sk-1", context_of("up", SPEC, "keys.a.value"))
    assert keys().open(bound(sealed, "up", {**SPEC, "base_url": "https://one.example/v2"}, "keys.a.value")) == "sk-1"


def test_seal_of_another_key_or_a_changed_one_does_not_open() -> None:
    place = bound(keys().seal("sk-1", context_of("up", SPEC, "keys.a.value")), "up", SPEC, "keys.a.value")
    with pytest.raises(SealError, match="which is not here"):
        keys("z" * 40).open(place)
    head, _, tail = place.rpartition(":")
    with pytest.raises(SealError, match="damaged"):
        keys().open(f"{head[:-1]}{'A' if head[-1] != 'A' else 'B'}:{tail}")
    with pytest.raises(SealError, match="damaged"):
        keys().open("sealed:v1:x")
    with pytest.raises(SealError, match="only be that of a provider's key"):
        keys().open(place.rpartition(":")[0])


def test_first_of_several_keys_seals_and_all_of_them_open() -> None:
    context = context_of("up", SPEC, "keys.a.value")
    old = keys().seal("sk-1", context)
    both = keys(f"{'n' * 40} {KEY}")
    assert both.open(bound(old, "up", SPEC, "keys.a.value")) == "sk-1"
    assert both.key_of(both.seal("sk-1", context)) == both.first != both.key_of(old)


def test_key_is_made_at_first_need_and_rotated_in_the_data_folder(tmp_path: Path) -> None:
    own = MasterKeys({}, tmp_path)
    assert own.first == ""
    with pytest.raises(SealError, match="there is no master key"):
        own.seal("sk-1", "x")
    assert own.make_first()
    assert not own.make_first()
    assert (tmp_path / "master-key").stat().st_mode & 0o777 == 0o600
    first = own.first
    own.add()
    assert own.first != first
    own.forget_others()
    assert len((tmp_path / "master-key").read_text().split()) == 1
    assert MasterKeys({}, tmp_path).first == own.first


def test_unusable_master_keys_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="at least 32 random characters"):
        _ = keys("short").first
    with pytest.raises(SealError, match="does not exist"):
        _ = MasterKeys({}, tmp_path, tmp_path / "nowhere").first
    with pytest.raises(SealError, match="not the gateway's own"):
        keys().add()


def test_all_secrets_of_a_provider_are_found() -> None:
    found: list[tuple[str, str]] = []

    def note(field: str, text: str) -> str:
        found.append((field, text))
        return text

    map_secrets(SPEC, note)
    assert found == [
        ("keys.a.value", "sk-1"),
        ("keys.b.entra.client_secret", "s"),
        ("keys.c.aws.secret_access_key", "t"),
    ]
    assert map_secrets("sk-1", lambda field, text: f"{field}={text}") == "keys.default.value=sk-1"
    assert list(seals_in({"keys": {"a": "sealed:v1:x:y", "b": "env.B"}})) == [("keys.a.value", "sealed:v1:x:y")]


def test_bound_seal_is_a_reference_that_hides_its_secret() -> None:
    sealed = keys().seal("sk-1", context_of("up", SPEC, "keys.a.value"))
    data: dict[str, Any] = {"providers": {"up": {**SPEC, "keys": {"a": {"value": sealed}}}, "other": "env.X"}}
    place: Any = bind_seals(data)
    reference = place["providers"]["up"]["keys"]["a"]["value"]
    assert data["providers"]["up"]["keys"]["a"]["value"] == sealed, "the original is unchanged"
    found = References({VARIABLE: KEY}, Path()).resolve(reference)
    assert (found.reveal(), found.reference) == ("sk-1", reference)
    with pytest.raises(BadReference) as caught:
        References({}, Path()).resolve(reference)
    assert "sk-1" not in str(caught.value)
