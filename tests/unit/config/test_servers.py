"""Servers that the gateway sends its own data to, and the guard of their addresses."""

from pathlib import Path

import pytest

from pointsman.config.egress_schema import EgressSettings, GlobalEgressSettings
from pointsman.config.load import load
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.servers import GUARDED, compile_server
from pointsman.config.settings import RemoteServer
from pointsman.config.webhooks_schema import WebhookSettings
from pointsman.domain.network import Network


def compiled(
    url: str, *private: str, base: Network = GUARDED, egress: EgressSettings | None = None
) -> tuple[RemoteServer | None, list[str]]:
    findings = Findings(load(b"{}").source)
    found = compile_server(
        WebhookSettings(url=url, secrets=["env.X"], egress=egress),
        GlobalEgressSettings(allow_private=list(private)),
        ("at",),
        References({}, Path()),
        findings,
        base=base,
        address=("url", url),
    )
    return found, [str(one) for one in findings.in_order()]


@pytest.mark.parametrize(
    ("url", "private", "problem"),
    [
        ("https://10.0.0.7", "10.1.0.0/16", "list its network in egress.allow_private"),
        ("https://[::1]", "10.1.0.0/16", "list its network in egress.allow_private"),
        ("https://169.254.169.254", "0.0.0.0/0", "metadata"),
        ("https://h", "10.0.0.1/8", "write it like 10.1.0.0/16"),
        ("http://h", "10.1.0.0/16", "unencrypted"),
    ],
)
def test_faults_of_addresses_are_reported(url: str, private: str, problem: str) -> None:
    _, problems = compiled(url, private)
    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize("url", ["https://10.1.0.7", "https://[::ffff:10.1.0.7]", "https://93.184.216.34", "https://h"])
def test_public_and_listed_addresses_are_no_faults(url: str) -> None:
    found, problems = compiled(url, "10.1.0.0/16")
    assert problems == []
    assert found is not None
    assert found.network.allow_private == ("10.1.0.0/16",)


def test_server_without_the_guard_may_be_private() -> None:
    assert compiled("https://10.1.0.7", base=Network())[1] == []


def test_proxy_decides_on_addresses_behind_it() -> None:
    assert compiled("https://10.1.0.7", egress=EgressSettings(proxy="http://p:1"))[1] == []
