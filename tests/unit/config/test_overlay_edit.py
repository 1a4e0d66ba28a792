"""A changed overlay keeps the rest of the file."""

from datetime import date
from pathlib import Path

import pytest

from pointsman.config.overlay import OverlayError
from pointsman.config.overlay_edit import Value, with_model

FILE = Path("overlay.yaml")
OLD = """\
# mine
models:
   # first
   openai/a: {context_tokens: 3}   # why
   "groq/b":
      context_tokens: 4

   # last
   openai/c:
      can: [tools]
# end
"""


def edited(text: str | None, place: str, **fields: Value) -> str:
    content, overlay = with_model(text.encode() if text is not None else None, place, fields, FILE)
    assert place in overlay.document.models
    return content.decode()


def test_first_model_makes_the_file() -> None:
    text = edited(
        None, "openai/gpt-99", input_usd_per_million=2, output_usd_per_million=0.15, priced_on=date(2026, 11, 30)
    )
    assert text.splitlines()[1:] == [
        "models:",
        "  openai/gpt-99: {input_usd_per_million: 2, output_usd_per_million: 0.15, priced_on: 2026-11-30}",
    ]
    for empty in ("", "# only a comment\n", "models:\n", "models: {}\n"):
        assert "\n  openai/x: {max_output_tokens: 3}\n" in edited(empty, "openai/x", max_output_tokens=3)
    assert edited("# no end of line", "openai/x").startswith("# no end of line\n# Changes of the model catalog")


def test_new_model_is_the_first_and_comments_stay() -> None:
    text = edited(OLD, "openai/d", context_tokens=1)
    assert text == OLD.replace("   openai/a:", "   openai/d: {context_tokens: 1}\n   openai/a:")


def test_present_model_keeps_its_other_fields() -> None:
    text = edited(OLD, "groq/b", max_output_tokens=3)
    assert "   groq/b: {context_tokens: 4, max_output_tokens: 3}\n\n   # last\n" in text
    text = edited(OLD, "openai/a", context_tokens=5)
    assert "   openai/a: {context_tokens: 5}\n" in text
    text = edited(OLD, "openai/c", context_tokens=5)
    assert text.endswith("   openai/c:\n     can: [tools]\n     context_tokens: 5\n# end\n")


def test_file_that_a_person_must_change_is_left_alone() -> None:
    with pytest.raises(OverlayError, match="is written in braces; write one model per line"):
        edited("models: {openai/a: {context_tokens: 1}}\n", "openai/b", context_tokens=1)
    with pytest.raises(OverlayError, match="unknown field"):
        edited("models:\n  openai/a: {contxt: 1}\n", "openai/b", context_tokens=1)
