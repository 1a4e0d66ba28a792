"""A document is compiled into a snapshot, or into all its errors."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fakes.configuration import ENVIRON, OPEN, checked, compiled, errors, found
from pointsman.config.compile import compile_file
from pointsman.domain.origin import secret_of
from pointsman.domain.snapshots import HealthLimits, Routing, Timeouts
from pointsman.domain.targets import Strategy

TEXT = """
providers: {openai: env.OPENAI_API_KEY}
models: {chat: openai/gpt-4o}
routing:
  {max_attempts: 3, commit_buffer: 2048, timeouts: {commit_s: 10, stall_s: 2.5}, health: {failures: 2, max_block_s: 5}}
governance: {virtual_keys: {me: env.CLIENT_KEY}}
"""


def test_routing_settings_are_compiled() -> None:
    assert compiled(TEXT).snapshot.routing == Routing(
        strategy=Strategy("adaptive"),
        max_attempts=3,
        timeouts=Timeouts(commit_s=10.0, stall_s=2.5),
        commit_buffer=2048,
        health=HealthLimits(failures=2, max_block_s=5.0),
    )


def test_defaults_of_the_file_equal_those_of_the_domain() -> None:
    snapshot = compiled(OPEN + "providers: {openai: env.OPENAI_API_KEY}").snapshot
    assert snapshot.routing == Routing()
    assert snapshot.key_headers == ("authorization", "x-api-key", "x-goog-api-key")


def test_all_errors_are_reported_in_the_order_of_the_file() -> None:
    text = """
providers:
  openai: env.MISSING
  groq: {bse_url: x, keys: {a: env.GROQ_API_KEY}}
models:
  chat: [opnai/x]
routing: {max_attempts: many}
governance: {require_key: false}
"""
    assert errors(text) == [
        "providers.openai: the environment variable MISSING is not set",
        "providers.groq.bse_url: unknown field; did you mean 'base_url'?",
        "models.chat[0]: unknown provider 'opnai'; did you mean 'openai'?",
        "routing.max_attempts: must be a whole number, not text",
    ]


def test_consequences_of_an_error_are_not_reported() -> None:
    text = OPEN + "providers: {local: {type: 3, base_url: 'http://127.0.0.1:1'}}\n"
    assert errors(text) == ["providers.local.type: must be text, not a number"]


def test_error_in_one_entry_neither_hides_nor_causes_others() -> None:
    text = """
providers:
  local: 5
  groq: {keys: {a: {weight: 1}}, budgets: [{limit_usd: 1, per: day, zone: Mars/Phobos}]}
  other: {type: opnai}
models:
  empty: []
  chat: [local/x, groq/y]
  drained: {strategy: weighted, targets: [{model: groq/y, weight: 0}]}
routing: {strategy: latency, max_attempts: many}
governance:
  require_key: "yes"
  teams: {red: []}
  virtual_keys:
    me: {value: env.CLIENT_KEY, team: red, budgets: [{limit_usd: "$5", per: day}], strategy: random}
    you: {value: env.CLIENT_KEY, team: rde}
"""
    assert errors(text) == [
        "providers.local: must be a mapping, not a number",
        "providers.groq.budgets[0].zone: unknown time zone 'Mars/Phobos'; use an IANA name, such as `Europe/Berlin`",
        "providers.groq.keys.a.value: is required; set it to env.NAME or file:PATH",
        "providers.other.type: unknown type; did you mean 'openai'?",
        "models.empty: must not be empty",
        "models.drained.targets: every target has weight 0, so no request can be served; set a weight above 0",
        "routing.max_attempts: must be a whole number, not text",
        (
            "routing.strategy: unknown strategy 'latency'; use one of: "
            "adaptive, cheapest, fastest, least-busy, priority, round-robin, weighted"
        ),
        "governance.require_key: must be true or false, not text",
        "governance.teams.red: must be a mapping, not a list",
        "governance.virtual_keys.me.budgets[0].limit_usd: must be a number, not text",
        (
            "governance.virtual_keys.me.strategy: unknown strategy 'random'; use one of: "
            "adaptive, cheapest, fastest, least-busy, priority, round-robin, weighted"
        ),
        "governance.virtual_keys.you.team: unknown team 'rde'; did you mean 'red'?",
        "governance.virtual_keys.you.value: is also the value of the key 'me'; give each key its own",
    ]


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda text: text, False),
        (lambda text: text + "# a remark", False),
        (lambda text: text.replace("chat: openai/gpt-4o", "chat: [openai/gpt-4o]"), False),
        (lambda text: text.replace("gpt-4o", "gpt-4"), True),
        (lambda text: text.replace("max_attempts: 3", "max_attempts: 4"), True),
    ],
)
def test_digest_depends_on_the_content_of_the_file(change: "type[str]", differs: bool) -> None:
    assert (compiled(change(TEXT)).snapshot.digest != compiled(TEXT).snapshot.digest) is differs


def test_digest_depends_on_secrets_and_reveals_none() -> None:
    digest = compiled(TEXT).snapshot.digest
    assert compiled(TEXT, {**ENVIRON, "OPENAI_API_KEY": "another"}).snapshot.digest != digest
    assert len(digest) == 64


def test_repr_of_a_snapshot_shows_no_secret() -> None:
    assert ENVIRON["OPENAI_API_KEY"] not in repr(compiled(TEXT))


def test_files_are_compiled_and_listed_or_reported(tmp_path: Path) -> None:
    path = tmp_path / "pointsman.yaml"
    assert found(compile_file(path, ENVIRON)) == [f"{path} cannot be read: No such file or directory"]
    assert found(compile_file(tmp_path, ENVIRON)) == [f"{tmp_path} cannot be read: Is a directory"]
    (tmp_path / "key").write_text("sk-file\n")
    path.write_text(TEXT.replace("env.OPENAI_API_KEY", "'file:key'"))
    outcome = compile_file(path, ENVIRON)
    assert outcome.compiled is not None
    assert outcome.compiled.secret_files == outcome.secret_files
    catalog = tmp_path / "data" / "catalog"
    of_catalog = {catalog / name for name in ("models.json", "lists.json", "overlay.yaml")}
    assert outcome.secret_files == {tmp_path / "key", *of_catalog}
    assert secret_of(outcome.compiled.snapshot.endpoints["openai"].keys[0].credential).reveal() == "sk-file"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WHOLE = """
server: {listen: "127.0.0.1:8080", limits: {timeouts: {head_s: 1}}}
egress: {proxy: "http://proxy:1"}
providers:
  openai: {keys: {a: {value: env.OPENAI_API_KEY, weight: 1, serves: ["gpt*"]}}, tags: {region: eu}}
  groq: env.GROQ_API_KEY
models:
  one: [openai/gpt-4o, groq/x]
  two: {strategy: weighted, targets: [{model: gpt-4, weight: 3, variant: a}], fallbacks: [groq/y]}
routing: {max_attempts: 3, timeouts: {stall_s: 1}}
governance: {virtual_keys: {me: {value: env.CLIENT_KEY}}, key_headers: [x-a]}
logging: {level: info}
"""


@given(st.data())
def test_any_value_in_any_place_is_compiled_or_reported(data: st.DataObject) -> None:
    document = yaml.safe_load(WHOLE)
    node = document
    while True:
        places = sorted(node) if isinstance(node, dict) else range(len(node))
        place = data.draw(st.sampled_from(places))
        inner = node[place]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        node = inner
    node[place] = data.draw(ODD)
    outcome = checked(yaml.safe_dump(document, allow_unicode=True))
    assert (outcome.compiled is None) is bool(found(outcome))
    assert "sk-openai" not in str(outcome)


@pytest.mark.parametrize("text", ["version: 1", "providers: {}", "{}"])
def test_all_providers_and_keys_may_come_by_api(text: str) -> None:
    outcome = checked(text)
    assert outcome.compiled is not None
    assert [one.partition(":")[0] for one in found(outcome, "warning")] == ["governance.virtual_keys", "providers"]
