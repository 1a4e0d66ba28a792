"""Addresses of providers, and the settings of clouds that belong to them."""

import pytest

from fakes.configuration import OPEN, checked, found
from pointsman.config.problems import Findings
from pointsman.config.provider_addresses import address_of, check_cloud
from pointsman.config.schema import ProviderSettings
from pointsman.config.source import parse
from pointsman.domain.origin import Origin
from pointsman.providers import PROVIDERS
from pointsman.providers.api import Provider

CLOUD = Provider(
    name="cloud",
    title="Cloud",
    base_url=None,
    key_env=None,
    codecs=PROVIDERS["openai"].codecs,
    credentials=("value", "aws"),
    takes={"region": frozenset({"aws"})},
    regional_url=lambda region: f"https://{region or 'global'}.cloud.test/v2",
)


def problems(record: Provider, settings: ProviderSettings) -> list[str]:
    findings = Findings(parse(b"a: 1"))
    address_of(record, settings, ("p",), findings)
    check_cloud(record, settings, ("p",), findings)
    return [f"{one.path}: {one.message}" for one in findings.in_order()]


@pytest.mark.parametrize(
    ("settings", "host"),
    [({}, "global.cloud.test"), ({"region": "eu-1"}, "eu-1.cloud.test"), ({"base_url": "https://x.test/v2"}, "x.test")],
)
def test_address_follows_the_region_unless_it_is_set(settings: dict[str, str], host: str) -> None:
    address = address_of(CLOUD, ProviderSettings.model_validate(settings), ("p",), Findings(parse(b"a: 1")))
    assert address == (Origin("https", host, 443), "/v2")


def test_region_is_required_by_the_credentials_that_need_it() -> None:
    keys = {"a": {"aws": "ambient"}}
    assert problems(CLOUD, ProviderSettings.model_validate({"keys": keys})) == [
        "p: `region` is required for the type cloud; set it"
    ]
    assert problems(CLOUD, ProviderSettings.model_validate({"keys": keys, "region": "eu-1"})) == []
    assert problems(CLOUD, ProviderSettings.model_validate({"keys": {"a": "env.KEY"}})) == []


def test_settings_of_other_clouds_are_rejected() -> None:
    message = "p.project: the type cloud has no project; remove it"
    assert problems(CLOUD, ProviderSettings.model_validate({"project": "my-project"})) == [message]
    outcome = checked(OPEN + "providers: {openai: {keys: {a: env.OPENAI_API_KEY}, region: eu-1}}")
    assert found(outcome) == ["providers.openai.region: the type openai has no region; remove it"]


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "169.254.170.2"])
def test_metadata_service_is_no_provider(host: str) -> None:
    outcome = checked(OPEN + f"providers: {{vllm: {{base_url: 'http://{host}/v1'}}}}")
    expected = "providers.vllm.base_url: is the address of a metadata service; set that of a provider"
    assert [one.startswith(expected) for one in found(outcome)] == [True]


@pytest.mark.parametrize(
    ("fields", "is_missing"),
    [
        ("keys: {a: env.OPENAI_API_KEY}", True),
        ("keys: {a: env.OPENAI_API_KEY}, base_url: 'https://vpce-1.example'", False),
        ("keys: {a: {aws: {access_key_id: id, secret_access_key: env.OPENAI_API_KEY}}}, base_url: 'https://x'", True),
        ("keys: {a: env.OPENAI_API_KEY}, region: eu-central-1", False),
    ],
)
def test_region_is_required_for_an_address_or_a_signature(fields: str, is_missing: bool) -> None:
    found = [str(one) for one in checked(f"providers: {{bedrock: {{{fields}}}}}\n").problems]
    assert any("`region` is required for the type bedrock" in one for one in found) is is_missing
