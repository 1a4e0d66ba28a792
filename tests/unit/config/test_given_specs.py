"""The content of resources that callers give: literal secrets are sealed, and references of the server are refused."""

import json
from typing import Any

import pytest

from pointsman.config.given_specs import faults_of, sealed_spec
from pointsman.config.sealing import VARIABLE, MasterKeys, seals_in

KEYS = MasterKeys({VARIABLE: "k" * 40}, None)


def provider(**key: Any) -> dict[str, Any]:
    return {"type": "openai-compatible", "base_url": "https://one.example/v1", "keys": {"a": key}}


@pytest.mark.parametrize("text", ["env.OPENAI_API_KEY", "file:/etc/shadow", "two\nlines", " padded ", "sealed:v1:a:b"])
def test_value_that_is_no_literal_secret_is_refused(text: str) -> None:
    _, faults = sealed_spec("provider", "up", provider(value=text), KEYS)
    assert [fault.field for fault in faults] == ["keys.a.value"]
    assert "shadow" not in faults[0].message


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (provider(google="adc"), "keys.a.google"),
        (provider(aws="ambient"), "keys.a.aws"),
        (provider(aws={"role_arn": "arn:aws:iam::123456789012:role/x"}), "keys.a.aws"),
        (provider(aws={"access_key_id": "env.ID", "secret_access_key": "x"}), "keys.a.aws.access_key_id"),
        (provider(entra="managed_identity"), "keys.a.entra"),
        (provider(entra={"tenant": "file:/x"}), "keys.a.entra.tenant"),
        (provider(entra={"federated_token_file": "/x"}), "keys.a.entra.federated_token_file"),
        (provider(entra={"authority": "http://10.0.0.1"}), "keys.a.entra.authority"),
        ({**provider(value="x"), "egress": {"ca_file": "/etc/shadow"}}, "egress.ca_file"),
        ({**provider(value="x"), "egress": {"proxy": "http://10.0.0.1:80"}}, "egress.proxy"),
    ],
)
def test_identity_and_files_of_the_machine_are_refused(spec: dict[str, Any], field: str) -> None:
    assert field in [fault.field for fault in faults_of("provider", "up", spec)]


@pytest.mark.parametrize(
    "account",
    [
        {"type": "external_account", "credential_source": {"file": "/etc/shadow"}},
        {"type": "service_account", "token_uri": "http://169.254.169.254/"},
        [],
    ],
)
def test_account_of_google_that_names_files_or_addresses_is_refused(account: object) -> None:
    _, faults = sealed_spec("provider", "up", provider(google=json.dumps(account)), KEYS)
    assert [fault.field for fault in faults] == ["keys.a.google"]


def test_same_secret_keeps_its_seal_and_another_one_does_not() -> None:
    first, _ = sealed_spec("provider", "up", provider(value="sk-1"), KEYS)
    again, _ = sealed_spec("provider", "up", provider(value="sk-1"), KEYS, first)
    as_read, _ = sealed_spec("provider", "up", first, KEYS, first)
    other, _ = sealed_spec("provider", "up", provider(value="sk-2"), KEYS, first)
    assert first == again == as_read != other
    assert len(list(seals_in(first))) == 1


def test_empty_value_and_other_kinds_need_no_key() -> None:
    no_key = MasterKeys({}, None)
    assert sealed_spec("provider", "up", provider(value=""), no_key) == (provider(value=""), [])
    assert sealed_spec("team", "x", {"labels": {"a": "env.B"}}, no_key) == ({"labels": {"a": "env.B"}}, [])


def test_name_must_be_that_of_the_content() -> None:
    assert faults_of("rule", "a", {"name": "b"})[0].message == "must be 'b', as its fields say"
    assert faults_of("rule", "a", {"model": "x"}) == []
    assert faults_of("price", "openai/x", {"model": "openai/x", "team": "t"})[0].field == "name"
    assert faults_of("price", "x", [])[0].message == "must be a mapping"
    assert faults_of("team", "a b", {})[0].field == "name"
    assert faults_of("team", "a", {"labels": {"x": "y" * 300_000}})[0].field == "spec"
