"""Tags and requirements are compiled, and those that cannot serve their purpose are reported."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.configuration import OPEN, checked, compiled, errors, found
from pointsman.domain.identity import key_named
from pointsman.domain.requirements import Requirement, Tag

TWO = """
providers:
  de: {type: vllm, base_url: "http://127.0.0.1:9000/v1", tags: {region: eu}}
  us: {type: vllm, base_url: "http://127.0.0.1:9001/v1", keys: {a: {value: "", tags: {region: [us, ap]}}}}
"""
KEYS = """
require: {region: [eu, us]}
models: {chat: {targets: [{model: de/m, tags: {tier: gold}}], fallbacks: [us/m], require: {tier: gold}}}
governance:
  customers: {acme: {require: {region: {all: [eu]}}}}
  teams: {lab: {customer: acme, require: {region: eu}}}
  virtual_keys: {one: {value: env.CLIENT_KEY, team: lab, require: {tier: [gold]}, provider_tools: [web_search]}}
"""


def test_requirements_of_all_owners_come_with_their_origins() -> None:
    snapshot = compiled(TWO + KEYS).snapshot
    (key,) = snapshot.virtual_keys.values()
    assert snapshot.require == (Requirement("region", ("eu", "us"), origin="the top-level require"),)
    assert key.require == (
        Requirement("tier", ("gold",), origin="virtual key one"),
        Requirement("region", ("eu",), origin="team lab"),
        Requirement("region", ("eu",), needs_all=True, origin="customer acme"),
    )
    assert key.provider_tools == frozenset({"web_search"})
    chat = snapshot.models["chat"]
    assert chat.targets[0].tags == {"tier": (Tag("gold"),)}
    assert chat.require == chat.targets[0].require == chat.fallbacks[0].require
    assert chat.require == (Requirement("tier", ("gold",), origin="model chat"),)
    assert snapshot.endpoints["us"].keys[0].tags == {"region": (Tag("us"), Tag("ap"))}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("tags: {region: []}", "providers.de.tags.region: must not be empty"),
        ("tags: {region: {value: 'e u'}}", "providers.de.tags.region.value"),
        ("tags: {region: {value: eu, until: 2027-01-01}}", "providers.de.tags.region.until: unknown field"),
        ("tags: {region: {value: eu, expires: 2027-01-01T00:00:00}}", "`expires` must be a date, or have an offset"),
    ],
)
def test_faulty_tags_are_errors(fields: str, message: str) -> None:
    text = f'providers:\n  de: {{type: vllm, base_url: "http://127.0.0.1:9000/v1", {fields}}}\n'
    (problem,) = errors(OPEN + text)
    assert message in problem.replace("[0]", "")


def test_expiry_is_reported_before_and_after() -> None:
    today = datetime.now(UTC).date()
    soon, past = today + timedelta(days=20), today - timedelta(days=1)
    tags = f"{{region: {{value: eu, expires: {past}}}, tier: {{value: gold, expires: {soon}}}}}"
    outcome = checked(OPEN + f'providers: {{de: {{type: vllm, base_url: "http://127.0.0.1:9000/v1", tags: {tags}}}}}\n')
    expired = f"region=eu expired on {past}, so it meets no requirement; renew it"
    assert found(outcome, "warning") == [f"providers.de.tags.region: {expired}"]
    assert found(outcome, "note") == [f"providers.de.tags.tier: tier=gold expires on {soon}; renew it before"]


def test_requirements_that_nothing_meets_are_warned_of() -> None:
    text = """
models: {chat: {targets: [us/m], require: {region: eu}}}
governance:
  virtual_keys:
    far: {value: env.CLIENT_KEY, require: {region: mars}}
    fine: {value: 'sha256:0000000000000000000000000000000000000000000000000000000000000000', require: {region: eu}}
"""
    hint = "check the tags in `providers`"
    rejected = "so every request is rejected (403 no_compliant_provider)"
    assert found(checked(TWO + text), "warning") == [
        f"models.chat: no target meets region=eu (from model chat), {rejected}",
        f"governance.virtual_keys.far: no provider key meets region=mars (from virtual key far), {rejected}; {hint}",
    ]
    assert found(checked(OPEN + TWO + "require: {region: mars}\n"), "warning") == [
        f"require: no provider key meets region=mars (from the top-level require), {rejected}; {hint}"
    ]


def test_rules_whose_requirements_nothing_meets_are_warned_of() -> None:
    text = """
require: {region: eu}
models: {chat: [us/m]}
routing:
  rules:
    - {name: far, when: stream, require: {certifications: moon}}
    - {name: away, when: has_tools, targets: [us/m]}
    - {name: back, when: has_images, targets: [us/m], fallbacks: [de/m]}
"""
    rejected, warnings = "rejected (403 no_compliant_provider)", found(checked(OPEN + TWO + text), "warning")
    far, away = warnings[-2:]
    assert far.startswith("routing.rules: no provider key meets region=eu (from the top-level require) and certif")
    assert away == (
        "routing.rules: no target of the rule away meets region=eu (from the top-level require), "
        f"so every request that it matches is {rejected}"
    )


def test_keys_of_a_file_name_themselves_as_the_origin(tmp_path: Path) -> None:
    lines = [
        {"name": name, "value": f"sha256:{digit * 64}", "team": "lab", "require": {"region": "eu"}}
        for name, digit in (("first", "1"), ("second", "2"))
    ]
    (tmp_path / "keys.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = "governance: {keys_file: keys.jsonl, teams: {lab: {require: {tier: gold}}}}\n"
    outcome = checked(TWO + text, folder=tmp_path)
    assert outcome.compiled is not None
    for name in ("first", "second"):
        key = key_named(outcome.compiled.snapshot.virtual_keys, name)
        assert key is not None
        assert [str(one) + " " + one.origin for one in key.require] == [
            f"region=eu virtual key {name}",
            "tier=gold team lab",
        ]


BEDROCK = """
providers:
  bedrock: {region: eu-central-1, keys: {a: env.OPENAI_API_KEY}, tags: {region: eu}}
"""


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        ("bedrock/eu.amazon.nova-pro-v1:0", True),
        ("bedrock/amazon.nova-pro-v1:0", True),
        ("bedrock/us.amazon.nova-pro-v1:0", False),
        ("bedrock/global.anthropic.claude-x", False),
        ("bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/global.anthropic.claude-x", False),
        ("{model: 'bedrock/global.anthropic.claude-x', tags: {region: eu}}", True),
        ("bedrock/arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-pro-v1:0", True),
        ("bedrock/arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-pro-v1:0", False),
        ("bedrock/arn:aws:bedrock:eu-central-1:1:application-inference-profile/zz", False),
        ("bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/zz", False),
        (
            "{model: 'bedrock/arn:aws:bedrock:eu-central-1:1:application-inference-profile/zz', tags: {region: eu}}",
            True,
        ),
    ],
)
def test_name_of_an_inference_profile_states_its_region(target: str, is_met: bool) -> None:
    quoted = target if target.startswith("{") else f"'{target}'"
    document = BEDROCK + f"models: {{chat: {{targets: [{quoted}], require: {{region: eu}}}}}}\n"
    warnings = [one for one in found(checked(OPEN + document), "warning") if "no target meets region=eu" in one]
    assert (not warnings) is is_met
    assert ("no_compliant_provider" in "".join(warnings)) is not is_met


@pytest.mark.parametrize(
    ("key", "target", "is_met"),
    [
        ("tags: {region: eu}, deployments: {mine: 'eu-central-1:1:application-inference-profile/zz'}", "mine", True),
        ("deployments: {mine: 'eu-central-1:1:application-inference-profile/zz'}", "mine", False),
        ("tags: {region: us}, deployments: {mine: 'eu-central-1:1:application-inference-profile/zz'}", "mine", False),
        ("tags: {region: eu}, deployments: {mine: 'us-west-2::foundation-model/amazon.nova-x'}", "mine", False),
        ("deployments: {mine: 'eu-central-1::foundation-model/amazon.nova-x'}", "mine", True),
        ("tags: {region: eu}", "arn:aws:bedrock:eu-central-1:1:application-inference-profile/zz", False),
    ],
)
def test_tag_of_a_key_covers_its_deployments_whose_region_is_unknown(key: str, target: str, is_met: bool) -> None:
    settings = key.replace("mine: '", "mine: 'arn:aws:bedrock:")
    document = f"""
providers:
  bedrock: {{region: eu-central-1, keys: {{a: {{value: env.OPENAI_API_KEY, {settings}}}}}, tags: {{region: eu}}}}
models: {{chat: {{targets: ["bedrock/{target}"], require: {{region: eu}}}}}}
"""
    warnings = [one for one in found(checked(OPEN + document), "warning") if "no target meets region=eu" in one]
    assert (not warnings) is is_met
