"""The requests that are copied to a mirror, and their copies."""

from collections.abc import Sequence

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import limit
from fakes.routing import FakeView, ScriptedRandom, call, endpoint, plan_for, snapshot_of
from pointsman.domain.calls import Call
from pointsman.domain.identity import EndUserLimits, ProviderEntry, VirtualKey
from pointsman.domain.requirements import Requirement
from pointsman.domain.snapshots import Mirror
from pointsman.routing.mirrors import copy_of, key_of_copies, mirrored

BUDGET = limit("usd", 100, level="mirror", name="chat")
MIRROR = Mirror("chat", "b/m", 0.25, (BUDGET,))
EU = Requirement("region", ("eu",), False, "virtual key me")


def is_copied(request: Call, *numbers: float, pinned: bool = False) -> bool:
    plan = plan_for(call(), FakeView(snapshot_of(endpoint("a"))))
    return mirrored(replace(plan, pinned=pinned), MIRROR, request, ScriptedRandom(*numbers)).mirror is MIRROR


def test_share_of_requests_is_copied() -> None:
    assert is_copied(call(), 0.2499)
    assert not is_copied(call(), 0.25)


@pytest.mark.parametrize(
    "request_",
    [
        call(operation="image"),
        call(operation="embedding"),
        call(stateful=True),
        call(provider="a"),
        replace(call(), fields={"store": Raw(b"true")}),
        replace(call(), fields={"tools": Raw(b'[{"type":"web_search"}]')}),
    ],
)
def test_request_that_acts_or_stores_is_not_copied(request_: Call) -> None:
    assert not is_copied(request_, 0.0)


def test_pinned_request_is_not_copied() -> None:
    assert not is_copied(call(), 0.0, pinned=True)


def limits_of(key: VirtualKey) -> Sequence[object]:
    return [*key.limits, *(one for entry in key.entries.values() for one in entry.limits)]


def test_key_of_copies_has_the_rights_of_the_client_and_the_limits_of_the_mirror() -> None:
    own = limit("usd", 5)
    entry = ProviderEntry("b", weight=2.0, allow_models=("m*",), limits=(own,), keys=frozenset({"k1"}))
    users = EndUserLimits(selector="s", header="", at_most=1, limits=(own,))
    client = VirtualKey(
        name="me",
        digest=b"",
        team="t",
        entries={"b": entry},
        limits=(own,),
        require=(EU,),
        labels={"tier": "free"},
        provider_tools=frozenset(),
        allow_models=("chat",),
        end_users=(users,),
    )
    configuration = snapshot_of(endpoint("a"))
    key = key_of_copies(MIRROR, client, configuration)
    assert (key.name, key.team, key.end_users, key.allow_models) == ("mirror:chat", None, (), ())
    assert limits_of(key) == [BUDGET]
    assert (key.entries["b"].keys, key.entries["b"].allow_models) == (entry.keys, entry.allow_models)
    assert (key.require, key.labels, key.provider_tools) == ((EU,), client.labels, client.provider_tools)
    assert key_of_copies(MIRROR, client, configuration) is key
    assert key_of_copies(replace(MIRROR, name="other"), client, configuration) is not key
    assert key_of_copies(MIRROR, None, configuration).limits == (BUDGET,)


def test_copy_goes_to_the_mirror_alone_and_keeps_the_requirements() -> None:
    request = call(fallbacks=("x/y",), timeout_s=3.0)
    forwarded = (("Idempotency-Key", "k1"), ("anthropic-beta", "b"))
    request = replace(request, head=replace(request.head, max_nano=5, forwarded=forwarded), max_tokens=7)
    copy = copy_of(request, MIRROR, (EU,))
    assert (copy.model, copy.fallbacks, copy.max_tokens) == ("b/m", (), 7)
    assert (copy.head.timeout_s, copy.head.max_nano) == (None, None)
    assert copy.head.forwarded == forwarded[1:]
    assert copy.head.require == (EU,)
    assert request.model == "chat"
