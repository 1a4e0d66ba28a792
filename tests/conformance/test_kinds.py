"""Rules for every kind of conditions of alerts."""

import re

import msgspec
import pytest

from pointsman.alerting.api import AlertKind
from pointsman.alerting.conditions import CompiledCheck
from pointsman.alerting.kinds import KINDS
from pointsman.alerting.subjects import SUBJECTS

ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@ALL
def test_default_settings_make_checks_that_compile(kind: AlertKind) -> None:
    checks = kind.make(kind.settings())
    assert checks
    for check in checks:
        CompiledCheck(check)
        facts = set(SUBJECTS[check.each].facts.__struct_fields__)
        assert set(re.findall(r"\{(\w+)\}", check.text)) <= facts
        assert not set(check.labels) & facts


@ALL
def test_every_setting_is_described_and_bounded(kind: AlertKind) -> None:
    schema = msgspec.json.schema(kind.settings)["$defs"][kind.settings.__name__]
    for name, field in schema["properties"].items():
        assert "description" in field, name
        assert "Default" in field["description"], name
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"surprise": 1}, kind.settings)
    assert kind.meaning.endswith(".")
