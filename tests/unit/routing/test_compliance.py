"""Candidates keep only the keys that meet the requirements, and rejections name the tags that each candidate lacks."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.plans import Plan
from pointsman.domain.requirements import Requirement, Tag
from pointsman.domain.rules import Directive, Rule
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import Candidate, Endpoint, candidate
from pointsman.routing.decide import decide
from pointsman.routing.router import router_of

EU = Requirement("region", ("eu",), origin="virtual key notebook")
NOTEBOOK = VirtualKey(name="notebook", digest=b"1", require=(EU,))


def tagged(name: str, region: str, *keys: str, expires_at: float | None = None) -> Endpoint:
    return replace(endpoint(name, *keys), tags={"region": (Tag(region, expires_at=expires_at),)})


DE, US = tagged("de", "eu"), tagged("us", "us", "k1", "k2")
UNTAGGED = endpoint("none")
CONFIGURATION = snapshot([DE, US, UNTAGGED], [candidate(one, "m") for one in (US, UNTAGGED, DE)])


def plan(
    request: Call,
    key: VirtualKey | None = NOTEBOOK,
    configuration: Snapshot = CONFIGURATION,
    *,
    unix_s: float = 0.0,
    view: FakeView | None = None,
) -> Plan | Failure:
    return decide(Facts(request, key, unix_s), view or FakeView(configuration), ScriptedRandom(), NOW)


def used(found: Plan | Failure) -> list[tuple[str, list[str]]]:
    assert isinstance(found, Plan), found.message
    return [(choice.candidate.id, [key.name for key in choice.keys]) for choice in found.choices]


def test_only_tagged_providers_are_used_and_a_missing_tag_fails_closed() -> None:
    assert used(plan(call())) == [("de/m", ["k1"])]
    assert len(used(plan(call(), None))) == 3
    found = plan(call())
    assert isinstance(found, Plan)
    assert found.require == (EU,)
    assert [(one.candidate, one.policy) for one in found.verdicts] == [("us/m", "compliance"), ("none/m", "compliance")]


@pytest.mark.parametrize(
    "request_",
    [call("us/m"), call(provider="us"), call("us/m", fallbacks=("none/m",)), call("", "file", provider="us")],
    ids=["target", "provider", "fallback", "file"],
)
def test_nothing_left_is_403_and_says_what_each_candidate_lacks(request_: Call) -> None:
    found = plan(request_)
    assert isinstance(found, Failure)
    assert found.kind is failures.NO_COMPLIANT_PROVIDER
    assert "it lacks region=eu (required by virtual key notebook): its region is us" in found.message


def test_last_resorts_are_filtered_too() -> None:
    view = FakeView(CONFIGURATION)
    view.open_breaker("de/m", NOW + 9)
    view.open_breaker("us/m", NOW + 9)
    assert used(plan(call(), view=view)) == [("de/m", ["k1"])]
    assert used(plan(call("us/m", fallbacks=("de/m",)), view=view)) == [("de/m", ["k1"])]


def test_a_candidate_keeps_only_its_compliant_keys() -> None:
    keys = (replace(provider_key("eu"), tags={"region": (Tag("eu"),)}), provider_key("us"))
    mixed = replace(endpoint("mixed", *keys), tags={"region": (Tag("us"),)})
    configuration = snapshot([mixed], [candidate(mixed, "m")])
    assert used(plan(call(), configuration=configuration)) == [("mixed/m", ["eu"])]
    limited = replace(NOTEBOOK, entries={"mixed": ProviderEntry("mixed", keys=frozenset({"us"}))})
    found = plan(call(), limited, configuration)
    assert isinstance(found, Failure)
    assert found.kind is failures.NO_COMPLIANT_PROVIDER
    pin = replace(call("", "file"), pin=Pin("mixed", "us", "the file 'f'"))
    found = plan(pin, configuration=configuration)
    assert isinstance(found, Failure)
    assert found.kind is failures.NO_COMPLIANT_PROVIDER
    assert used(plan(replace(pin, pin=Pin("mixed", "eu", "the file 'f'")), configuration=configuration))


def test_each_key_says_what_it_lacks() -> None:
    keys = (replace(provider_key("a"), tags={"region": (Tag("ap"),)}), provider_key("b"), provider_key("c"))
    mixed = replace(endpoint("mixed", *keys), tags={"region": (Tag("us"),)})
    found = plan(call("mixed/m"), configuration=snapshot([mixed], []))
    assert isinstance(found, Failure)
    need = "region=eu (required by virtual key notebook)"
    assert found.message.endswith(f"with key a: {need}: its region is ap; with key b, c: {need}: its region is us")


def test_a_target_tag_replaces_the_tag_of_its_provider() -> None:
    deployed: Candidate = replace(candidate(US, "m"), tags={"region": (Tag("eu"),)})
    outside: Candidate = replace(candidate(DE, "m"), tags={"region": (Tag("us"),)})
    configuration = snapshot([DE, US], [deployed, outside])
    assert used(plan(call(), configuration=configuration)) == [("us/m", ["k1", "k2"])]


def test_requirements_of_all_origins_hold_together() -> None:
    soc2 = Requirement("certifications", ("soc2",), origin="the top-level require")
    configuration = replace(CONFIGURATION, require=(soc2,))
    found = plan(call(), configuration=configuration)
    assert isinstance(found, Failure)
    lacks = "certifications=soc2 (required by the top-level require): it has no tag certifications"
    assert f"{lacks}, and region=eu (required by virtual key notebook): its region is us" in found.message
    head = replace(call().head, require=(replace(EU, origin="the header x-pointsman-require"),))
    assert used(plan(replace(call(), head=head), None)) == [("de/m", ["k1"])]
    directive = Directive(rules=("r",), requirements=(replace(EU, origin="routing rule r"),))
    by_rule = router_of(CONFIGURATION).candidates(Facts(call()), CONFIGURATION, directive)
    assert not isinstance(by_rule, Failure)
    assert [one.origin for one in by_rule.require] == ["routing rule r"]


def test_the_requirement_of_a_public_name_follows_its_targets_into_fallbacks() -> None:
    own = (replace(EU, origin="model safe"),)
    targets = tuple(replace(candidate(one, "m"), require=own) for one in (US, DE))
    configuration = replace(CONFIGURATION, models={"safe": PublicModel(name="safe", targets=targets, require=own)})
    assert used(plan(call("safe"), None, configuration)) == [("de/m", ["k1"])]
    assert used(plan(call("none/m", fallbacks=("safe",)), None, configuration)) == [
        ("none/m", ["k1"]),
        ("de/m", ["k1"]),
    ]
    assert used(plan(call("safe", fallbacks=("us/x", "de/x")), None, configuration)) == [
        ("de/m", ["k1"]),
        ("de/x", ["k1"]),
    ]


def test_a_set_is_made_again_when_a_tag_expires() -> None:
    until = tagged("until", "eu", expires_at=100.0)
    configuration = snapshot([until, US], [candidate(until, "m"), candidate(US, "m")])
    assert used(plan(call(), configuration=configuration, unix_s=99.9)) == [("until/m", ["k1"])]
    found = plan(call(), configuration=configuration, unix_s=100.0)
    assert isinstance(found, Failure)
    assert "its region=eu expired on 1970-01-01" in found.message
    assert len(used(plan(call(), None, configuration, unix_s=100.0))) == 2


def test_memos_keep_requests_with_different_requirements_apart() -> None:
    strict = replace(call(), head=replace(call().head, require=(EU,)))
    for _ in range(2):
        assert len(used(plan(call(), None))) == 3
        assert used(plan(strict, None)) == [("de/m", ["k1"])]
        assert used(plan(call())) == [("de/m", ["k1"])]


def test_another_reason_that_ends_by_itself_decides_the_status() -> None:
    from pointsman.domain.limits import Limit, Period
    from pointsman.routing.view import Exhausted

    limit = Limit(level="virtual_key", owner="virtual_key:n", metric="requests", period=Period("day"), amount=1)
    view = FakeView(CONFIGURATION)
    view.exhausted[limit.counter] = Exhausted(limit, NOW + 5, NOW + 5, 5)
    found = plan(call(), replace(NOTEBOOK, limits=(limit,)), view=view)
    assert isinstance(found, Failure)
    assert found.kind is failures.RATE_LIMITED


def test_rules_narrow_and_cannot_leave_the_requirement_of_the_requested_name() -> None:
    own = (replace(EU, origin="model safe"),)
    safe = PublicModel(name="safe", targets=(replace(candidate(DE, "m"), require=own),), require=own)
    rules = (
        Rule(name="elsewhere", model="chat"),
        Rule(name="far", targets=(candidate(US, "m"), candidate(DE, "m"))),
        Rule(name="near", requirements=(replace(EU, origin="routing rule near"),)),
    )
    models = {**CONFIGURATION.models, "safe": safe}
    by_rule = {rule.name: replace(CONFIGURATION, models=models, rules=(rule,)) for rule in rules}
    assert used(plan(call("safe"), None, by_rule["elsewhere"])) == [("de/m", ["k1"])]
    assert len(used(plan(call(), None, by_rule["elsewhere"]))) == 3
    assert used(plan(call(), configuration=by_rule["far"])) == [("de/m", ["k1"])]
    assert used(plan(call("safe"), None, by_rule["far"])) == [("de/m", ["k1"])]
    assert used(plan(call(), None, by_rule["near"])) == [("de/m", ["k1"])]


SEARCH = {"tools": Raw(b'[{"type":"web_search"}]')}
IMAGE = {"messages": Raw(b'[{"content":[{"type":"image_url","image_url":{"url":"https://a.test/x"}}]}]')}


def with_tools(*names: str, require: tuple[Requirement, ...] = (EU,)) -> VirtualKey:
    return VirtualKey(name="tools", digest=b"2", require=require, provider_tools=frozenset(names))


@pytest.mark.parametrize(
    ("fields", "key", "refused"),
    [
        (SEARCH, None, False),
        (SEARCH, VirtualKey(name="free", digest=b"3"), False),
        (SEARCH, NOTEBOOK, True),
        (SEARCH, with_tools("web_search"), False),
        (SEARCH, with_tools("remote_urls"), True),
        (SEARCH, with_tools(require=()), True),
        (SEARCH, with_tools("web_search", require=()), False),
        (IMAGE, NOTEBOOK, True),
        (IMAGE, with_tools("web_search"), True),
        (IMAGE, with_tools("remote_urls"), False),
        ({"tools": Raw(b'[{"type":"function","function":{"name":"f"}}]')}, NOTEBOOK, False),
    ],
)
def test_tools_of_a_provider_need_the_permission_of_the_key(
    fields: dict[str, Raw], key: VirtualKey | None, refused: bool
) -> None:
    for request in (replace(call(), fields=fields), replace(call(), fields=fields)):
        assert isinstance(plan(call(), key), Plan)
        found = plan(request, key)
        if refused:
            assert isinstance(found, Failure)
            assert found.kind is failures.PROVIDER_TOOL_NOT_ALLOWED
            assert "provider_tools" in found.message
        else:
            assert isinstance(found, Plan)


def test_models_that_search_by_themselves_are_left_out() -> None:
    searching = replace(DE, tool_models=(("sonar*", "web_search", 1),))
    configuration = snapshot([searching, DE], [candidate(searching, "sonar-pro"), candidate(DE, "m")])
    assert used(plan(call(), configuration=configuration)) == [("de/m", ["k1"])]
    assert len(used(plan(call(), with_tools("web_search"), configuration))) == 2
    assert len(used(plan(call(), None, configuration))) == 2
