"""Answers to the admin process that contain secrets."""

from fakes.export import SETTINGS


def test_settings_of_the_export_hide_their_secrets() -> None:
    assert SETTINGS.headers
    assert repr(SETTINGS) == "ExportSettings(http://127.0.0.1:4318)"
