"""The keys of an issuer come from a guarded address or from a file."""

from pathlib import Path

from fakes.configuration import compiled
from fakes.issuer import key_set, new_key
from pointsman.domain.callers import TokenTrust

BASE = "providers: {openai: env.OPENAI_API_KEY}\n"


def trust(folder: Path, jwt: str, more: str = "") -> TokenTrust:
    text = f"{BASE}{more}governance: {{identities: {{ci: {{when: 'true', jwt: {{audience: me, {jwt}}}}}}}}}\n"
    (one,) = compiled(text, folder=folder).snapshot.identities
    assert one.trust is not None
    return one.trust


def test_address_is_guarded(tmp_path: Path) -> None:
    found = trust(tmp_path, "issuer: 'https://a.example', keys: 'https://b.example/keys', algorithms: [ES256, ES256]")
    assert (found.source.url, found.source.path, found.algorithms) == ("https://b.example/keys", "", ("ES256",))
    assert found.source.network.is_public_only
    own = trust(tmp_path, "issuer: 'http://127.0.0.1:1'", "egress: {allow_private: [127.0.0.0/8]}\n")
    assert own.source.network.allow_private == ("127.0.0.0/8",)


def test_issuer_of_a_file_needs_no_address(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(key_set(new_key("one", "EC")))
    found = trust(tmp_path, "issuer: me, keys: 'file:keys.json', egress: {proxy: 'http://10.0.0.1:3128'}")
    assert (found.issuer, found.source.path) == ("me", str(tmp_path / "keys.json"))
    assert found.source.network.proxy is not None
