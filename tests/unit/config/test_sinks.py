"""Sinks of the request log, and redaction."""

from pathlib import Path

import pytest

from fakes.configuration import ENVIRON, OPEN, checked, compiled, errors, found
from pointsman.config.settings import Filter, LogSink
from pointsman.config.snapshot_file import read_snapshot, write_snapshot
from pointsman.domain.bodies import BodyScope, Redaction
from pointsman.domain.origin import Origin
from pointsman.domain.requirements import Tag

BASE = "providers: {openai: env.OPENAI_API_KEY}\n" + OPEN
OTHERS = {**ENVIRON, "HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "S3_KEY": "canary"}
S3 = "type: s3, bucket: logs, region: eu-west-1, access_key_id: AKID, secret_access_key: env.S3_KEY"


def sinks(text: str) -> tuple[LogSink, ...]:
    return compiled(f"{BASE}sinks: {text}", OTHERS).telemetry.sinks


def test_nothing_is_sent_and_everything_is_masked_by_default() -> None:
    one = compiled(BASE)
    assert one.telemetry.sinks == ()
    assert one.telemetry.redaction == Redaction(kinds=("secrets", "email", "phone", "card"))


def test_sinks_are_compiled() -> None:
    text = (
        "{a: {type: stdout}, b: {type: file, path: r.jsonl, keep: 2, tags: {region: eu}}, "
        "c: {type: webhook, url: 'https://h/x', secrets: [env.HOOK], only: {teams: [t], min_status: 500, share: 0.5}}, "
        f"d: {{{S3}, prefix: a/b/}}}}"
    )
    stdout, file, webhook, store = sinks(text)
    assert (stdout.name, stdout.type, stdout.filter) == ("a", "stdout", Filter())
    assert (Path(file.path).name, file.keep, file.tags) == ("r.jsonl", 2, {"region": (Tag("eu"),)})
    assert webhook.filter == Filter(fields=(("team", ("t",)),), min_status=500, share=0.5)
    assert webhook.server is not None
    assert webhook.server.origin == Origin("https", "h", 443)
    assert store.server is not None
    assert store.server.origin == Origin("https", "s3.eu-west-1.amazonaws.com", 443)
    assert (store.path, store.key_id, store.batch_s) == ("/logs/a/b/", "AKID", 60.0)
    assert store.server.network.is_public_only


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sinks: {a: {type: kafka}}", "kafka"),
        ("sinks: {a: {type: file, path: none/r.jsonl}}", "none does not exist; create it"),
        ("sinks: {a: {type: file, path: r}, b: {type: file, path: r}}", "is the file of the sink a"),
        ("sinks: {a: {type: webhook, url: 'https://10.0.0.1', secrets: [env.HOOK]}}", "egress.allow_private"),
        (f"sinks: {{a: {{{S3}, url: 'http://127.0.0.1:9000'}}}}", "egress.allow_private"),
        (f"sinks: {{a: {{{S3.replace('env.S3_KEY', 'canary')}}}}}", "a secret must not be in this file"),
        ("redaction: {patterns: {a: '(?=x)'}}", "is no pattern of RE2"),
        ("sinks: {a: {type: stdout, only: {when: cost > 1}}}", "unknown variable 'cost'; did you mean 'cost_usd'?"),
        ("sinks: {a: {type: stdout, only: {when: model}}}", "must be true or false"),
        ("redaction: {kinds: [names]}", "kinds"),
        ("bodies: {rules: [a]}", "unknown rule"),
        ("bodies: {virtual_keys: [a]}", "unknown virtual key"),
    ],
)
def test_faults_are_reported_without_secrets(text: str, problem: str) -> None:
    messages = errors(BASE + text, OTHERS)
    assert any(problem in one for one in messages), messages
    assert "canary" not in str(messages)


def test_bodies_are_kept_for_nobody_by_default() -> None:
    assert compiled(BASE).snapshot.bodies is None
    assert compiled(f"{BASE}bodies: {{max_bytes: 2048}}").snapshot.bodies is None
    found = compiled(f"{BASE}bodies: {{all: true, max_bytes: 2048}}\nredaction: {{fields: [x]}}").snapshot.bodies
    assert found is not None
    assert (found.scopes, found.max_bytes, found.redaction.fields) == ((BodyScope(),), 2048, ("x",))


def test_sink_has_bodies_kept_for_its_own_records() -> None:
    text = "sinks: {a: {type: stdout, bodies: keep, only: {teams: [t]}}, b: {type: stdout, bodies: true}}"
    one = compiled(f"{BASE}{text}\nbodies: {{max_bytes: 2048}}")
    assert one.snapshot.bodies is not None
    assert one.snapshot.bodies.scopes == (BodyScope(teams=frozenset({"t"})),)
    assert [sink.has_bodies for sink in one.telemetry.sinks] == [True, True]


def test_place_that_gets_no_record_is_a_warning() -> None:
    text = f"{BASE}require: {{region: eu}}\nsinks: {{a: {{type: stdout}}, b: {{type: stdout, tags: {{region: eu}}}}}}\n"
    warnings = found(checked(f"{text}telemetry: {{otlp: {{endpoint: 'https://o'}}}}"), "warning")
    assert [one for one in warnings if "gets no records" in one and "sinks.a" in one]
    assert [one for one in warnings if "gets no records" in one and "telemetry.otlp" in one]
    assert not [one for one in warnings if "sinks.b" in one]


def test_snapshot_file_keeps_the_sinks_without_their_secrets(tmp_path: Path) -> None:
    one = compiled(f"{BASE}sinks: {{a: {{{S3}, tags: {{region: eu}}}}}}", OTHERS)
    write_snapshot(tmp_path / "snapshot", one)
    assert b"canary" not in (tmp_path / "snapshot").read_bytes()
    assert read_snapshot(tmp_path / "snapshot", OTHERS).telemetry.sinks == one.telemetry.sinks
