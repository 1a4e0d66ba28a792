"""A gateway without a file."""

from hashlib import sha256

from pointsman.config.defaults import SMALLEST_FILE, Default, compile_default, default_document
from pointsman.config.load import load
from pointsman.config.problems import Problem
from pointsman.domain.snapshots import Snapshot
from pointsman.providers import PROVIDERS


def snapshot(environ: dict[str, str]) -> tuple[Snapshot, str]:
    default = default_document(environ)
    assert isinstance(default, Default)
    checked = compile_default(default, environ)
    assert checked.compiled is not None
    assert checked.problems == ()
    return checked.compiled.snapshot, default.virtual_key


def test_one_provider_serves_every_bare_name() -> None:
    found, virtual_key = snapshot({"OPENAI_API_KEY": "sk-x"})
    assert found.endpoints.keys() == {"openai"}
    assert found.endpoints["openai"].serves == ("*",)
    assert found.require_key
    assert found.virtual_keys.keys() == {sha256(virtual_key.encode()).digest()}
    assert len(virtual_key) > 40


def test_every_known_variable_that_is_set_counts() -> None:
    environ = {provider.key_env: "sk-x" for provider in PROVIDERS.values() if provider.key_env}
    found, _ = snapshot({**environ, "UNRELATED_API_KEY": "x", "GROQ_API_KEY": ""})
    expected = {name for name, provider in PROVIDERS.items() if provider.key_env} - {"groq"}
    assert found.endpoints.keys() == expected
    assert all(endpoint.serves == () for endpoint in found.endpoints.values())


def test_every_start_makes_another_key() -> None:
    assert snapshot({"OPENAI_API_KEY": "x"})[1] != snapshot({"OPENAI_API_KEY": "x"})[1]


def test_nothing_to_go_by() -> None:
    problem = default_document({})
    assert isinstance(problem, Problem)
    assert "OPENAI_API_KEY" in problem.message
    assert "GROQ_API_KEY" in problem.message
    assert SMALLEST_FILE in problem.message
    assert load(SMALLEST_FILE.encode()).problems == ()
