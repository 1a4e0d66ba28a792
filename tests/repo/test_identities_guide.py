"""The identities of the guide compile, and admit the callers that it describes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.certificates import Certificates
from fakes.configuration import compiled
from fakes.issuer import key_set, new_key
from pointsman.domain.callers import CallerIdentity
from pointsman.routing.caller_conditions import conditions_of

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "caller-identities.md").read_text()
DEPLOYING = (Path(__file__).parents[2] / "docs" / "operations" / "deploying.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
FORM = "providers: {openai: env.OPENAI_API_KEY}\n"


def identities(tmp_path: Path, block: str) -> tuple[dict[str, CallerIdentity], Any]:
    Certificates(tmp_path)
    (tmp_path / "keys.json").write_text(key_set(new_key("one", "EC")))
    document = yaml.safe_load(block)
    teams = document["governance"].setdefault("teams", {})
    for one in document["governance"]["identities"].values():
        if "team" in one:
            teams.setdefault(one["team"], {})
    snapshot = compiled(FORM + yaml.safe_dump(document), folder=tmp_path).snapshot
    return {one.name: one for one in snapshot.identities}, conditions_of(snapshot)


@pytest.mark.parametrize(
    ("name", "claims", "caller"),
    [
        ("ci", {"repository_owner": "acme", "sub": "repo:acme/app", "repository": "acme/app"}, "ci:"),
        ("ci", {"repository_owner": "evil", "sub": "repo:acme/app"}, None),
        ("release", {"ref_protected": "true", "ref": "main", "project_path": "a/b"}, "release:a%2Fb"),
        ("release", {"ref_protected": "false", "ref": "main", "project_path": "a/b"}, None),
        ("branches", {"namespace_path": "acme/x", "project_path": "a/b"}, "branches:a%2Fb"),
        ("staff", {"groups": ["llm-users"], "department": "support", "preferred_username": "ada"}, "staff:ada"),
        ("staff", {"groups": [], "department": "support", "preferred_username": "ada"}, None),
        ("offline", {"azp": "batch", "sub": "x"}, "offline:x"),
        ("mesh", {"uri": ["spiffe://acme.example/ns/prod/a"]}, "mesh:spiffe:"),
        ("mesh", {"uri": ["spiffe://acme.example/ns/test/a"]}, None),
        ("mesh", {"uri": []}, None),
        ("pods", {"kubernetes.io": {"namespace": "ingest"}, "sub": "system:serviceaccount:ingest:a"}, "pods:system:"),
        ("pods", {"kubernetes.io": {"namespace": "default"}, "sub": "system:serviceaccount:default:a"}, None),
    ],
)
def test_identity_of_the_guide_admits(tmp_path: Path, name: str, claims: dict[str, object], caller: str | None) -> None:
    for block in [block for block in BLOCKS if f"    {name}:\n" in block]:
        found, conditions = identities(tmp_path, block)
        assert conditions[name](claims) is (caller is not None)
        if caller is not None:
            assert found[name].caller(claims).name.startswith(caller)


def test_namespace_of_a_pod_is_a_label(tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if "pods:" in block]
    found, _ = identities(tmp_path, block)
    claims = {"kubernetes.io": {"namespace": "ingest"}, "sub": "x"}
    assert found["pods"].caller(claims).labels == {"namespace": "ingest"}


def test_tls_of_the_guide_compiles(tmp_path: Path) -> None:
    Certificates(tmp_path)
    (tmp_path / "operators.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", DEPLOYING, re.DOTALL) if "operators.pem" in one]
    settings = compiled(f"{FORM}{block}governance: {{virtual_keys: {{me: env.CLIENT_KEY}}}}", folder=tmp_path).settings
    assert settings.console_tls is not None
    assert settings.console_tls.requires_client
