"""Providers made by API may only be at public addresses, or in networks that the file lists."""

from pathlib import Path

import pytest

from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.config.resource import Resource

FILE = "providers: {openai: env.A}\negress: {allow_private: [10.1.0.0/16]}\ngovernance: {require_key: false}\n"


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://93.184.216.34/v1", True),
        ("https://one.example/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://10.2.0.1/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("http://[::1]/v1", False),
        ("http://169.254.169.254/v1", False),
    ],
)
def test_private_address_must_be_listed(url: str, is_allowed: bool) -> None:
    spec = {"type": "openai-compatible", "base_url": url, "keys": {"a": ""}}
    loaded = load(FILE.encode(), [Resource(kind="provider", name="up", spec=spec)])
    checked = compile_document(loaded, Path(), {"A": "sk-of-the-tests"})
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    assert [(one.resource, one.path) for one in errors] == ([] if is_allowed else [("provider up", "base_url")])
    if checked.compiled is not None:
        endpoints = checked.compiled.snapshot.endpoints
        assert endpoints["up"].network.is_public_only, "names are checked when they are connected to"
        assert not endpoints["openai"].network.is_public_only
