"""The names of OpenAI's fields stay where its dialect is: in `wire` and `providers`."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "pointsman"
PACKAGES = ("config", "domain", "engine", "money", "routing")
FIELDS = frozenset(
    {"messages", "prompt", "input", "instructions", "suffix", "tools", "functions", "tool_choice", "response_format"}
    | {"reasoning_effort", "image_url", "input_image", "input_audio", "json_schema", "max_tokens", "max_output_tokens"}
    | {"max_completion_tokens", "best_of", "n", "stream_options", "service_tier", "background"}
    | {"previous_response_id", "choices", "usage", "prompt_tokens", "completion_tokens"}
)
# Words that are something else there, and one error that names the field at fault.
OTHERS = {
    "config/load.py": {"input"},  # of an error of pydantic's
    "config/overlay_schema.py": {"json_schema", "tools"},  # capabilities
    "config/schema.py": {"prompt", "max_tokens", "max_completion_tokens"},  # values of the configuration
    "engine/background.py": {"background"},  # the name of a thread
    "engine/token_checks.py": {"n"},  # the modulus of an RSA key
    "money/charges.py": {"prompt"},  # a value of `bills_unfinished`
    "money/expected.py": {"tools"},  # the field that orders a tool, from `wire.unbounded`
    "money/terms.py": {"input", "tools"},  # rates and terms
    "routing/conditions/facts.py": {"max_tokens", "prompt_tokens", "tools"},  # variables, and a capability
    "routing/replay.py": {"max_tokens", "prompt_tokens"},  # variables of conditions
    "routing/decide.py": {"messages"},  # the field that an error names
}


def named(path: Path) -> set[str]:
    """The field names among the literals of a module, bare or in quotation marks."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            found.add(value.strip('"'))
    return found & FIELDS


@pytest.mark.parametrize("package", PACKAGES)
def test_no_field_of_a_dialect_is_named(package: str) -> None:
    for path in sorted((SOURCE / package).rglob("*.py")):
        within = path.relative_to(SOURCE).as_posix()
        assert named(path) <= OTHERS.get(within, set()), within
