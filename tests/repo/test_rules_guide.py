"""The guide to rules is true: its rules compile and route as it says, and its command prints the shown output."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fakes.questions import decided, environ_of, route
from pointsman.cli import build_app
from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "rules.md").read_text()
BASE, *BLOCKS = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
RULES = {rule["name"]: rule for block in BLOCKS for rule in yaml.safe_load(block)}
LLAMA, MINI, GPT = "groq/llama-3.3-70b-versatile", "openai/gpt-4o-mini", "openai/gpt-4o"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PICTURE = {"messages": [{"role": "user", "content": [IMAGE]}]}
NIGHT, DAY = 1796000400.0, 1796036400.0  # 2026-11-30, 1:00 and 11:00 in UTC
USUAL = [LLAMA, MINI]


def ask(
    rule: str | None, body: dict[str, Any] | None = None, *, key: str = "notebook", **fields: Any
) -> Plan | Failure:
    """Decide under the first configuration of the guide, with one of its rules instead of the first."""
    document = yaml.safe_load(BASE)
    if rule is not None:
        document["routing"]["rules"] = [RULES[rule]]
    checked = compile_document(load(yaml.safe_dump(document).encode()), Path(), environ_of(BASE))
    assert checked.compiled is not None, [str(problem) for problem in checked.problems]
    return decided(checked.compiled.snapshot, body, key=key, **fields)


CASES: list[tuple[str | None, dict[str, Any], list[str]]] = [
    (None, {"key": "partner"}, [GPT, MINI]),
    (None, {}, USUAL),
    ("no-images", {"body": PICTURE}, ["refused_by_rule"]),
    ("no-images", {"body": PICTURE, "key": "partner"}, [MINI, LLAMA]),  # the second takes no images
    ("office-only", {"body": {"model": GPT}, "client": "10.1.2.3"}, [GPT]),
    ("office-only", {"body": {"model": GPT}, "client": "192.0.2.1"}, ["refused_by_rule"]),
    ("office-only", {"body": {"model": GPT}}, ["rule_undecided"]),
    ("office-only", {"client": "192.0.2.1"}, USUAL),
    ("night", {"at": NIGHT}, [MINI, LLAMA]),
    ("night", {"at": DAY}, USUAL),
    ("saving", {"body": {"model": GPT}, "used": {"team:research": 79}}, [GPT]),
    ("saving", {"body": {"model": GPT}, "used": {"team:research": 80}}, [LLAMA]),
    ("expensive", {"body": {"model": GPT, "n": 8, "max_tokens": 4000}}, [GPT]),
    ("expensive", {"body": {"model": GPT, "n": 50, "max_tokens": 4000}}, [MINI]),
    ("trial", {}, USUAL),
]


@pytest.mark.parametrize(("rule", "question", "expected"), CASES)
def test_rule_of_the_guide_routes_as_described(rule: str | None, question: dict[str, Any], expected: list[str]) -> None:
    assert route(ask(rule, **question)) == expected


def test_every_rule_of_the_guide_is_tried() -> None:
    assert {rule for rule, *_ in CASES if rule is not None} | {"short-and-calm"} == RULES.keys()


def test_trial_of_the_guide_has_a_tenth_of_the_users() -> None:
    document = yaml.safe_load(BASE)
    document["routing"]["rules"] = [RULES["trial"]]
    checked = compile_document(load(yaml.safe_dump(document).encode()), Path(), environ_of(BASE))
    assert checked.compiled is not None
    first = [route(decided(checked.compiled.snapshot, {"user": f"user-{n}"}, key="notebook"))[0] for n in range(1000)]
    assert 60 < first.count(GPT) < 140


def test_parameters_of_the_guide_are_changed() -> None:
    body = {"temperature": 1.5, "logprobs": True, "max_tokens": 900}
    decision = ask("short-and-calm", body, headers={"x-pointsman-tag-feature": "autocomplete"})
    assert isinstance(decision, Plan)
    assert decision.call is not None
    assert (bytes(decision.call.fields["temperature"]), decision.call.max_tokens) == (b"0", 200)
    assert "logprobs" not in decision.call.fields


def test_explanation_of_the_guide_is_the_printed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pointsman.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    followed = r"^```sh\n(pointsman explain .*)\n```\n\n```\n(.*?)^```"
    ((command, shown),) = re.findall(followed, GUIDE, re.MULTILINE | re.DOTALL)
    result = CliRunner().invoke(build_app(), command.split()[1:])
    assert result.exit_code == 0, result.output
    for line, expected in zip(result.output.splitlines(), shown.splitlines(), strict=True):
        beginning, _, end = expected.partition("…")
        assert line.startswith(beginning)
        assert line.endswith(end)
