"""Dialects are found by their modules, and a package is one too."""

from pointsman.wire.dialects import COMMON, DIALECTS


def test_package_is_a_dialect() -> None:
    assert DIALECTS["openai-responses"].name == "openai-responses"
    assert COMMON is DIALECTS["openai"]
