"""The settings of the export that admin gets from control."""

import msgspec

from fakes.configuration import ENVIRON, OPEN, compiled
from pointsman.control.export import export_settings

BASE = "providers: {openai: env.OPENAI_API_KEY}\n" + OPEN


def test_nothing_is_exported_without_a_collector() -> None:
    assert export_settings(compiled(BASE)) == []


def test_settings_have_the_secrets_of_the_collector_alone() -> None:
    text = "telemetry: {otlp: {endpoint: 'https://o/x', headers: {a: env.TOKEN}, egress: {proxy: 'http://p:1'}}}"
    (found,) = export_settings(compiled(BASE + text, {**ENVIRON, "TOKEN": "canary"}))
    assert (found.scheme, found.host, found.port, found.path) == ("https", "o", 443, "/x")
    assert found.headers == {"a": "canary"}
    assert found.proxy == ("http", "p", 1)
    assert found.types == {"openai": "openai"}
    assert ENVIRON["OPENAI_API_KEY"].encode() not in msgspec.msgpack.encode(found)
