"""Proxies, host names and origins are normalized, and invalid ones are errors."""

import pytest

from pointsman.config.access import compile_access
from pointsman.config.load import Loaded, load
from pointsman.config.problems import Findings
from pointsman.config.schema import CorsSettings, ServerSettings


def _findings() -> Findings:
    loaded: Loaded = load(b"version: 1\n")
    return Findings(loaded.source)


def test_addresses_names_and_origins_are_normalized() -> None:
    findings = _findings()
    server = ServerSettings(
        trusted_proxies=["10.0.0.1/8", "::1"],
        allowed_hosts=["Gateway.Example.com.", "[2001:db8::1]"],
        cors=CorsSettings(origins=["https://App.example.com", "http://localhost:3000", "*"]),
    )
    access = compile_access(server, findings)
    assert access.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert access.allowed_hosts == {"gateway.example.com", "2001:db8::1"}
    assert access.origins == {"https://app.example.com", "http://localhost:3000", "*"}
    assert not findings.has_errors


@pytest.mark.parametrize(
    "server",
    [
        ServerSettings(trusted_proxies=["proxy.internal"]),
        ServerSettings(trusted_proxies=["10.0.0.0/99"]),
        ServerSettings(allowed_hosts=["https://gateway"]),
        ServerSettings(allowed_hosts=["gateway:8080"]),
        ServerSettings(cors=CorsSettings(origins=["app.example.com"])),
        ServerSettings(cors=CorsSettings(origins=["https://app.example.com/"])),
    ],
)
def test_invalid_addresses_names_and_origins_are_errors(server: ServerSettings) -> None:
    findings = _findings()
    compile_access(server, findings)
    assert findings.has_errors
