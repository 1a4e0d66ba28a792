"""The forms of tags and requirements in the configuration."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from pointsman.config.compliance_schema import RequiredSettings, RequireField, TagsField

TAGS: TypeAdapter[Any] = TypeAdapter(TagsField)
REQUIRE: TypeAdapter[Any] = TypeAdapter(RequireField)


@pytest.mark.parametrize(
    ("written", "values"),
    [("eu", ["eu"]), (["eu", {"value": "us"}], ["eu", "us"]), ({"value": "eu", "evidence": "page 4"}, ["eu"])],
)
def test_tags_have_three_forms(written: object, values: list[str]) -> None:
    assert [one.value for one in TAGS.validate_python({"region": written})["region"]] == values


@pytest.mark.parametrize("expires", ["2027-01-01", "2027-01-01T00:00:00Z", "2027-01-01T01:00:00+01:00"])
def test_expiry_is_a_date_or_a_time(expires: str) -> None:
    (tag,) = TAGS.validate_python({"region": {"value": "eu", "expires": expires}})["region"]
    assert tag.expires == datetime(2027, 1, 1, tzinfo=UTC)


def test_requirements_have_three_forms() -> None:
    found = REQUIRE.validate_python({"region": "eu", "tier": ["a", "b"], "level": {"all": ["c"]}})
    assert found == {"region": ["eu"], "tier": ["a", "b"], "level": RequiredSettings(all=["c"])}


@pytest.mark.parametrize("values", [[], ["a,b"], ["a|b"], "", {"all": []}, {"any": ["a"]}, 7])
def test_faulty_values_are_rejected(values: object) -> None:
    with pytest.raises(ValidationError):
        REQUIRE.validate_python({"region": values})
