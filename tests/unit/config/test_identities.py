"""Identities are compiled into policies, and faulty ones are reported with what to do."""

from pathlib import Path

import pytest

from fakes.certificates import Certificates
from fakes.configuration import checked, compiled, errors, found
from fakes.issuer import key_set, new_key
from pointsman.config.key_table import FileKeys
from pointsman.config.snapshot_file import read_snapshot, write_snapshot
from pointsman.domain.identity import key_named
from pointsman.domain.snapshots import counters_of

BASE = "providers: {openai: env.OPENAI_API_KEY}\n"
JWT = "jwt: {issuer: 'https://issuer.example', audience: me}, when: 'true'"


def of(identity: str, more: str = "") -> str:
    return f"{BASE}governance: {{{more} identities: {{ci: {{{identity}}}}}}}\n"


def test_identity_is_a_policy_with_limits_for_all_and_for_each(tmp_path: Path) -> None:
    text = of(
        f"{JWT}, team: red, budgets: [{{limit_usd: 5, per: day}}],"
        "each_caller: {budgets: [{limit_usd: 1, per: day}]}, claims: {labels: {repo: repository}}",
        "teams: {red: {budgets: [{limit_usd: 9, per: day}]}},",
    )
    made = compiled(text, folder=tmp_path)
    write_snapshot(tmp_path / "snapshot", made)
    for snapshot in (made.snapshot, read_snapshot(tmp_path / "snapshot", {"OPENAI_API_KEY": "sk-openai"}).snapshot):
        assert isinstance(snapshot.virtual_keys, FileKeys)
        caller = key_named(snapshot.virtual_keys, "ci:job")
        assert caller is not None
        counters = [limit.counter for limit in caller.limits]
        assert counters == ["virtual_key:ci:job|usd|day", "virtual_key:ci|usd|day", "team:red|usd|day"]
        known = counters_of(snapshot)
        assert [known[counter].amount for counter in counters] == [10**9, 5 * 10**9, 9 * 10**9]
        assert key_named(snapshot.virtual_keys, "ci") is not None
        assert key_named(snapshot.virtual_keys, "other:job") is None


def test_each_team_has_a_policy_if_a_claim_names_it() -> None:
    text = of(
        f"{JWT}, claims: {{team: group}}, allow_models: [a]",
        "customers: {acme: {labels: {plan: gold}}},"
        "teams: {red: {customer: acme, budgets: [{limit_usd: 9, per: day}]}, blue: {}},",
    )
    (one,) = compiled(text).snapshot.identities
    assert one.owned.keys() == {"red", "blue"}
    red = one.owned["red"]
    assert (red.name, red.customer, red.labels, red.allow_models) == ("ci", "acme", {"plan": "gold"}, ("a",))
    assert [limit.counter for limit in red.limits] == ["team:red|usd|day"]


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ("when: 'true'", "set exactly one of `jwt` and `client_certificate`"),
        ("client_certificate: {}, when: 'true'", "requires server.tls.client_ca_file"),
        (JWT.replace("'true'", "claim.a == 1"), "unknown variable 'claim'"),
        (JWT.replace("'true'", "'\"a\"'"), "must be true or false"),
        (f"{JWT}, team: nobody", "unknown team 'nobody'"),
        (f"{JWT}, child_keys: {{}}", "make no child keys"),
        (f"{JWT}, claims: {{team: a, customer: b}}", "belongs to the team's customer"),
        (JWT.replace("https", "http"), "must begin with https://"),
        (JWT.replace("https://issuer.example", "me"), "set `keys` to the address or the file"),
        (JWT.replace("https://issuer.example", "https://10.0.0.1"), "egress.allow_private"),
        (JWT.replace("audience: me", "audience: me, keys: 'file:none.json'"), "cannot be read"),
        (JWT.replace("audience: me", "audience: me, algorithms: [HS256]"), "must be 'RS256'"),
        (JWT.replace("audience: me", "audience: []"), "audience"),
    ],
)
def test_faulty_identity_is_reported(identity: str, message: str) -> None:
    (problem, *_) = errors(of(identity))
    assert problem.startswith("governance.identities.ci"), problem
    assert message in problem, problem


def test_names_and_defaults_are_checked(tmp_path: Path) -> None:
    (problem,) = errors(of(JWT, "virtual_keys: {ci: env.CLIENT_KEY},"))
    assert "is also the name of a virtual key" in problem
    more = "teams: {red: {}}, defaults: [{each: virtual_key, team: red, budgets: [{limit_usd: 1, per: day}]}],"
    (warning,) = found(checked(of(f"{JWT}, claims: {{team: group}}", more)), "warning")
    assert "do not apply to callers" in warning


def test_file_of_keys_is_checked(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(key_set(new_key("one", "EC")))
    text = of(JWT.replace("audience: me", "audience: me, keys: 'file:keys.json'"))
    (one,) = compiled(text, folder=tmp_path).snapshot.identities
    assert one.trust is not None
    assert one.trust.source.path == str(tmp_path / "keys.json")
    (tmp_path / "keys.json").write_text("{}")
    (problem,) = errors(text, folder=tmp_path)
    assert 'it has no list "keys"' in problem


def test_client_certificates_need_authorities(tmp_path: Path) -> None:
    Certificates(tmp_path)
    files = "cert_file: cert.pem, key_file: key.pem"
    identity = of("client_certificate: {subject: dns}, when: 'true'")
    made = compiled(f"{identity}server: {{tls: {{{files}, client_ca_file: clients.pem}}}}", folder=tmp_path)
    (one,) = made.snapshot.identities
    assert (one.trust, one.subject) == (None, "dns")
    (problem,) = errors(f"{identity}server: {{tls: {{{files}, client_ca_file: none.pem}}}}", folder=tmp_path)
    assert problem.startswith("server.tls.client_ca_file: cannot be read")
    (problem,) = errors(
        f"{BASE}console: {{tls: {{{files}, client_certificates: optional}}}}\n"
        "governance: {virtual_keys: {me: env.CLIENT_KEY}}",
        folder=tmp_path,
    )
    assert problem.startswith("console.tls.client_certificates: has no effect")
