"""The configuration of a gateway without a file comes from the environment."""

from hashlib import sha256
from pathlib import Path

from pointsman.config.defaults import SMALLEST_FILE, Default, compile_default, default_document
from pointsman.config.load import load
from pointsman.config.problems import Problem
from pointsman.domain.snapshots import Snapshot
from pointsman.providers import PROVIDERS


def snapshot(environ: dict[str, str]) -> tuple[Snapshot, str]:
    default = default_document(environ)
    assert isinstance(default, Default)
    assert default.virtual_key is not None
    checked = compile_default(default, environ)
    assert checked.compiled is not None
    assert checked.problems == ()
    return checked.compiled.snapshot, default.virtual_key


def test_single_provider_serves_every_bare_name() -> None:
    found, virtual_key = snapshot({"OPENAI_API_KEY": "sk-x"})
    assert found.endpoints.keys() == {"openai"}
    assert found.endpoints["openai"].serves == ("*",)
    assert found.require_key
    assert found.virtual_keys.keys() == {sha256(virtual_key.encode()).digest()}
    assert len(virtual_key) > 40


def test_provider_of_each_set_variable_is_configured() -> None:
    environ = {provider.key_env: "sk-x" for provider in PROVIDERS.values() if provider.key_env}
    has_address = {name for name, provider in PROVIDERS.items() if provider.key_env and provider.base_url}
    found, _ = snapshot({**environ, "UNRELATED_API_KEY": "x", "GROQ_API_KEY": ""})
    expected = has_address - {"groq"}
    assert found.endpoints.keys() == expected
    assert all(endpoint.serves == () for endpoint in found.endpoints.values())


def test_new_virtual_key_is_random() -> None:
    assert snapshot({"OPENAI_API_KEY": "x"})[1] != snapshot({"OPENAI_API_KEY": "x"})[1]


def test_kept_virtual_key_stays_valid() -> None:
    environ, digest = {"OPENAI_API_KEY": "x"}, sha256(b"the key of the first start")
    default = default_document(environ, digest.hexdigest())
    assert isinstance(default, Default)
    assert default.virtual_key is None
    compiled = compile_default(default, environ).compiled
    assert compiled is not None
    assert list(compiled.snapshot.virtual_keys) == [digest.digest()]


def test_data_folder_does_not_depend_on_the_working_folder() -> None:
    environ = {"OPENAI_API_KEY": "x", "HOME": "/home/someone"}
    default = default_document(environ)
    assert isinstance(default, Default)
    compiled = compile_default(default, environ, Path("/elsewhere")).compiled
    assert compiled is not None
    assert compiled.settings.data_dir == Path("/home/someone/.local/state/pointsman")


def test_environment_without_provider_variables_is_a_problem() -> None:
    problem = default_document({})
    assert isinstance(problem, Problem)
    assert "OPENAI_API_KEY" in problem.message
    assert "GROQ_API_KEY" in problem.message
    assert SMALLEST_FILE in problem.message
    assert load(SMALLEST_FILE.encode()).problems == ()
