"""No secret and no personal data survives the masks, in whatever form JSON writes it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pointsman.catalog.reader
from fakes.control import record, request_id
from pointsman.telemetry.masking import Masker, compiled

CATALOG = Path(pointsman.catalog.reader.__file__).with_name("models.json")

# Values of the kinds that must be masked, by the text that may not survive.
CANARIES = {
    "sk-proj-canary0123456789abcdef": "canary",
    "sk-ant-api03-canary0123456789": "canary",
    "pm-canary0123456789abcdefghij": "canary",
    "AKIACANARY0123456789": "CANARY",
    "AIzaCANARY0123456789abcdefghijklmnop": "CANARY",
    "ghp_canary0123456789abcdef": "canary",
    "xoxb-canary-0123456789": "canary",
    "glpat-canary0123456789": "canary",
    "whsec_CANARY0123456789": "CANARY",
    "eyJhbGciOi.canary0123456789.canary": "canary",
    "Bearer canary0123456789": "canary",
    "https://user:canary-pw@host/": "canary",
    "api_key=canary0123": "canary",
    '"password": "canary0123"': "canary",
    "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----": "canary",
    "qF7xZp2LkT9vBn4RwYc8JmH5sDgA3uEe": "qF7xZp2L",
    "canary.person@mail.example.com": "canary",
    "+49 170 1234567": "1234567",
    "(555) 123-4567": "123-4567",
    "4111 1111 1111 1111": "1111",
    "378282246310005": "246310",
}


def escaped(text: str) -> str:
    """Return the JSON of a text with every character as an escape."""
    units = text.encode("utf-16-be").hex()
    return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'


def nested(text: str, depth: int) -> str:
    """Return JSON in JSON in JSON, as the arguments of tools are."""
    for _ in range(depth):
        text = json.dumps({"arguments": text})
    return text


@pytest.mark.parametrize(("canary", "part"), CANARIES.items())
def test_no_canary_survives(canary: str, part: str) -> None:
    masker = Masker()
    forms = [canary, f"see ({canary}), please", escaped(canary), f'{{"a": [{escaped(canary)}]}}', nested(canary, 3)]
    forms.append(f"{{{escaped(canary)}: 1}}")
    forms.append(f'{{"cut": {escaped(canary)}, "o')
    for form in forms:
        assert part not in masker.body(form.encode()), form
        assert part not in json.dumps(json.loads(json.dumps(masker.body(form.encode())))), form
    assert masker.count >= len(forms)


@given(st.sampled_from(list(CANARIES.items())), st.text(max_size=40), st.text(max_size=40), st.integers(0, 3))
def test_no_canary_survives_in_any_surroundings(canary: tuple[str, str], before: str, after: str, depth: int) -> None:
    text = nested(f"{before} {canary[0]} {after}", depth)
    assert canary[1] not in Masker().body(text.encode("utf-8", "surrogatepass"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc é", max_size=8), st.lists, max_leaves=10
    )
)
def test_harmless_json_is_left_alone(value: Any) -> None:
    text = json.dumps(value)
    assert Masker().body(text.encode()) == text


@pytest.mark.parametrize(
    "text",
    [
        "The order 1234567890 of 2026-11-30 costs 1200.50 USD.",
        "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "4111 1111 1111 1112",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "gpt-4o-mini-2024-07-18 and claude-sonnet-4-5-20250929",
        "user@localhost",
    ],
)
def test_common_texts_are_left_alone(text: str) -> None:
    assert Masker().text(text) == text


def test_no_name_of_the_catalog_is_masked() -> None:
    """Long names mix digits and both cases, as keys do."""
    masker, found = Masker(), json.loads(CATALOG.read_text())
    names = {name for one in found["providers"].values() for name in one["models"]}
    assert len(names) > 1000
    assert [name for name in names if masker.text(name) != name] == []


def test_own_patterns_and_fields_are_masked() -> None:
    masker = Masker((), {"ticket": r"TICKET-[0-9]+"}, ["PassWord"])
    found = masker.body(b'{"password": {"a": 1}, "note": "TICKET-42 of a@b.example"}')
    assert json.loads(found) == {"password": "[field]", "note": "[ticket] of a@b.example"}


def test_pattern_without_a_linear_time_is_rejected() -> None:
    for pattern in (r"(?=a)", r"(a)\1", "("):
        with pytest.raises(ValueError, match=r"."):
            compiled(pattern)


def test_time_grows_with_the_length_alone() -> None:
    evil = "a" * 200_000 + "!"
    assert Masker((), {"evil": "(a+)+$"}).text(evil) == evil


def test_deep_json_is_masked_as_a_whole() -> None:
    deep = "[" * 200 + '"sk-canary0123456789"' + "]" * 200
    assert "canary" not in Masker().body(deep.encode())
    assert "canary" not in Masker().body(("[" * 100_000 + "sk-canary0123456789").encode())


def test_record_keeps_its_ids_and_numbers() -> None:
    line = record(request_id(1, 1.7e9), 1.7e9)
    assert Masker().record(line) == line
    fields = json.loads(line) | {
        "cost_nano": 4111111111111111,
        "message": "no sk-canary0123456789",
        "tags": {"a@b.example": "c"},
    }
    found = json.loads(Masker().record(json.dumps(fields, separators=(",", ":")).encode()))
    assert found == fields | {"message": "no [secret]", "tags": {"[email]": "c"}}
