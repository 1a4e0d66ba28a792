"""Settings of the processes: addresses, TLS, egress and the log."""

import os
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from fakes.configuration import ENVIRON, OPEN, checked, compiled, errors, found
from pointsman.config.addresses import ListenAddress
from pointsman.config.settings import Settings
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.snapshots import allows_unowned
from pointsman.transport.server_tls import Tls

BASE = "providers: {openai: env.OPENAI_API_KEY}\n" + OPEN


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """Return a folder with a certificate, its key and its authority."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "not.pem").write_text("nothing of the kind")
    return tmp_path


def settings(text: str, folder: Path = Path()) -> Settings:
    return compiled(BASE + text, folder=folder).settings


def network(text: str, folder: Path = Path(), environ: dict[str, str] | None = None) -> Network:
    return compiled(BASE + text, {**ENVIRON, **(environ or {})}, folder).snapshot.endpoints["openai"].network


def test_defaults() -> None:
    found_settings = settings("")
    assert found_settings.listen == ListenAddress("127.0.0.1", 8080)
    assert found_settings.console == ListenAddress("127.0.0.1", 8081)
    assert found_settings.tls is None
    assert found_settings.drain_s == 30
    assert found_settings.log_file is None
    assert found_settings.limits.head_timeout_s == 10


def test_relative_paths_start_at_the_file(pem: Path) -> None:
    text = "server: {tls: {cert_file: cert.pem, key_file: key.pem}}\ndata_dir: d\nlogging: {file: out.log}\n"
    found_settings = settings(text, pem)
    assert found_settings.tls == Tls(f"{pem}/cert.pem", f"{pem}/key.pem")
    assert found_settings.data_dir == pem / "d"
    assert found_settings.log_file == pem / "out.log"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: {listen: '8080'}", "server.listen: must be host:port, such as 127.0.0.1:8080"),
        (
            "console: {listen: 'x y:80'}",
            "console.listen: 'x y' is not an IP address or a host name; set host:port, such as 127.0.0.1:8080",
        ),
        (
            "console: {listen: '127.0.0.1:8080'}",
            "console.listen: is the same address as server.listen; choose another port",
        ),
        (
            "server: {limits: {body_bytes: 4096, body_memory_bytes: 2048}}",
            "server.limits.body_memory_bytes: must not be less than body_bytes",
        ),
        ("logging: {file: nowhere/out.log}", "logging.file: the folder nowhere does not exist; create it"),
        (
            "server: {tls: {cert_file: a, key_file: b}}",
            "server.tls: cert_file or key_file cannot be read: No such file or directory",
        ),
        ("egress: {client_key: b}", "egress.client_key: requires client_cert; set both, or remove client_key"),
        (
            "egress: {ca_file: a}",
            "egress: ca_file, client_cert or client_key cannot be read: No such file or directory",
        ),
        ("egress: {proxy: proxy:3128}", None),
        (
            "egress: {proxy: 'https://proxy:3128'}",
            "egress.proxy: the address of a proxy must begin with http://; HTTPS to providers stays encrypted",
        ),
        (
            "egress: {proxy: 'http://me:word@proxy:3128'}",
            "egress.proxy: an address with a password must not be in this file; use env.NAME or file:PATH",
        ),
        ("egress: {proxy: env.NO_PROXY_HERE}", "egress.proxy: the environment variable NO_PROXY_HERE is not set"),
    ],
)
def test_invalid_settings_are_errors(text: str, problem: str | None) -> None:
    (message,) = errors(BASE + text)
    if problem is None:
        assert message.endswith("to set the address here, begin it with http://")
    else:
        assert message == problem
    assert "word@" not in message


def test_certificates_are_read_during_the_check(pem: Path) -> None:
    (message,) = errors(BASE + "server: {tls: {cert_file: cert.pem, key_file: other.pem}}", folder=pem)
    assert message == "server.tls: cert_file and key_file are not a certificate and its key: key values mismatch"
    (message,) = errors(BASE + "egress: {ca_file: not.pem}", folder=pem)
    assert message.startswith("egress: ca_file, client_cert or client_key cannot be used")


def test_public_console_is_a_warning() -> None:
    outcome = checked(BASE + "console: {listen: ':8081'}")
    (message,) = found(outcome, "warning")
    assert message.startswith(
        "console.listen: other machines can reach this address, and plain HTTP exposes the admin token"
    )
    assert message.endswith("listen on loopback behind a TLS proxy")


def test_egress_settings_are_compiled(pem: Path) -> None:
    text = "egress: {proxy: 'http://proxy:3128', ca_file: ca.pem, client_cert: cert.pem, client_key: key.pem}\n"
    assert network(text + "routing: {timeouts: {connect_s: 2}}", pem) == Network(
        proxy=Origin("http", "proxy", 3128),
        ca_file=f"{pem}/ca.pem",
        client_cert=f"{pem}/cert.pem",
        client_key=f"{pem}/key.pem",
        connect_timeout_s=2.0,
    )


def test_proxy_with_a_password_is_read_from_its_reference() -> None:
    found_network = network("egress: {proxy: env.PROXY}", environ={"PROXY": "http://me:p%40ss@proxy:3128"})
    assert found_network.proxy == Origin("http", "proxy", 3128)
    assert found_network.proxy_authorization == Secret("Basic bWU6cEBzcw==")


def test_egress_of_a_provider_replaces_single_fields() -> None:
    text = """
        providers:
          openai: env.OPENAI_API_KEY
          groq: {keys: {only: env.GROQ_API_KEY}, egress: {proxy: ""}}
        governance: {require_key: false}
        egress: {proxy: "http://proxy:3128"}
        """
    endpoints = compiled(text).snapshot.endpoints
    assert endpoints["openai"].network.proxy == Origin("http", "proxy", 3128)
    assert endpoints["groq"].network == replace(endpoints["openai"].network, proxy=None)


def test_only_the_given_environment_is_read() -> None:
    assert "HOME" in os.environ
    (message,) = errors(BASE + "egress: {proxy: env.HOME}", environ={"OPENAI_API_KEY": "x"})
    assert message == "egress.proxy: the environment variable HOME is not set"


def test_default_provider_must_be_configured() -> None:
    text = "server: {default_provider: NAME}\nproviders: {openai: env.OPENAI_API_KEY}\n" + OPEN
    assert compiled(text.replace("NAME", "openai")).snapshot.default_provider == "openai"
    (problem,) = errors(text.replace("NAME", "opnai"))
    assert "server.default_provider" in problem
    assert "the providers are openai" in problem


def test_unowned_state_follows_require_key_unless_it_is_set() -> None:
    text = "providers: {openai: env.OPENAI_API_KEY}\n"
    keys = "governance: {virtual_keys: {k: env.OPENAI_API_KEY}}\n"
    routing = "routing: {unowned_state: STATED, state_days: 90}\n"
    for sections, allowed in ((OPEN, True), (keys, False)):
        assert allows_unowned(compiled(text + sections).snapshot) is allowed
        for word in ("refuse", "allow"):
            snapshot = compiled(text + sections + routing.replace("STATED", word)).snapshot
            assert allows_unowned(snapshot) is (word == "allow")
            assert snapshot.routing.state_days == 90
