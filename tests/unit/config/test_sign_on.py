"""Identity providers in the configuration file."""

import json
from pathlib import Path

import pytest
import yaml

from fakes.control import CONFIG, ENVIRON
from pointsman.config.compile import Checked, compile_document
from pointsman.config.load import load
from pointsman.domain.rights import RoleGrant

PROVIDER: dict[str, object] = {
    "issuer": "https://idp.example/realm",
    "client_id": "c",
    "client_secret": "env.ME",
    "groups": {"a": ["admin"]},
}


def compiled(provider: dict[str, object], **console: object) -> Checked:
    document = yaml.safe_load(CONFIG)
    document["console"] = {"public_url": "https://a.example", "sign_on": {"company": provider}, **console}
    return compile_document(load(json.dumps(document).encode()), Path("/"), ENVIRON)


def test_provider_is_compiled_with_its_roles_and_the_guard_of_addresses() -> None:
    groups = {"a": ["admin"], "b": ["team-admin@team:research", "viewer"]}
    found = compiled({**PROVIDER, "groups": groups, "default_roles": ["member@virtual_key:me"]}).compiled
    assert found is not None
    (one,) = found.console.sign_on
    assert (one.issuer, one.origin.host, one.path) == ("https://idp.example/realm", "idp.example", "/realm")
    assert one.network.is_public_only
    assert dict(one.groups)["b"] == (RoleGrant("team-admin", "team:research"), RoleGrant("viewer"))
    assert one.default_roles == (RoleGrant("member", "virtual_key:me"),)
    assert one.client_secret is not None
    assert one.client_secret.reveal() == ENVIRON["ME"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"issuer": "http://idp.example"}, "must begin with https://"), ({"issuer": "idp.example"}, "issuer"),
        ({"issuer": "https://169.254.169.254"}, "metadata service"),
        ({"issuer": "https://10.0.0.1"}, "egress.allow_private"),
        ({"groups": {"a": ["owner"]}}, "no group gives the role owner"),
        ({"default_roles": ["owner"]}, "no group gives the role owner"),
        ({"groups": {"a": ["viewer@somewhere"]}}, "is no scope"), ({"scopes": ["profile"]}, "must contain openid"),
        ({"client_secret": "in the clear"}, "must not be in this file"),
    ],
)  # fmt: skip
def test_unsafe_provider_is_an_error(changed: dict[str, object], message: str) -> None:
    found = compiled({**PROVIDER, **changed})
    assert found.compiled is None
    assert any(message in str(one) for one in found.problems), found.problems


def test_sign_on_needs_the_address_for_browsers_and_issuers_differ() -> None:
    found = compiled(PROVIDER, public_url=None)
    assert any("public_url" in str(one) and "is required for sign_on" in str(one) for one in found.problems)
    found = compiled(PROVIDER, sign_on={"a": PROVIDER, "b": PROVIDER})
    assert any("same issuer" in str(one) for one in found.problems)
    found = compiled({**PROVIDER, "groups": {}})
    assert found.compiled is not None
    assert any("no group has a role" in str(one) for one in found.problems)
