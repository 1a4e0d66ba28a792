"""The console's address for browsers, and its sessions."""

from pathlib import Path

import pytest

from fakes.control import CONFIG, ENVIRON
from pointsman.config.compile import Checked, compile_document
from pointsman.config.load import load


def compiled(console: str) -> Checked:
    return compile_document(load(f"console: {console}\n{CONFIG}".encode()), Path("/"), ENVIRON)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("console.example.com", "http"), ("https://a.example/console", "must not have a path"),
        ("https://a.example?x", "remove the query"), ("ftp://a.example", "http"),
    ],
)  # fmt: skip
def test_invalid_address_is_an_error(url: str, message: str) -> None:
    found = compiled(f"{{public_url: '{url}'}}")
    assert found.compiled is None
    assert any("console.public_url" in str(one) and message in str(one) for one in found.problems)


def test_address_is_one_of_the_allowed_names_if_there_are_any() -> None:
    for console, hosts in (
        ("{public_url: 'https://a.example/'}", {"a.example"}),
        ("{listen: '0.0.0.0:1', public_url: 'https://a.example'}", set()),
        ("{listen: '0.0.0.0:1', public_url: 'https://a.example', allowed_hosts: [b]}", {"a.example", "b"}),
    ):
        found = compiled(console).compiled
        assert found is not None
        assert found.settings.console_hosts == hosts
        assert found.console.public_url == "https://a.example"


def test_http_to_other_machines_is_a_warning_and_idle_never_exceeds_the_whole() -> None:
    found = compiled("{public_url: 'http://a.example', sessions: {idle_s: 7200, max_s: 600}}")
    assert found.compiled is not None
    assert (found.compiled.console.idle_s, found.compiled.console.max_s) == (600, 600)
    assert any("sends passwords" in str(one) for one in found.problems)
