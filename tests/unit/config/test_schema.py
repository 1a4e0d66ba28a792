"""The types of the file: every field is described, nothing is converted, nothing unknown passes."""

from pointsman.config.sections import Section
from pointsman.config.strategies import StrategySettings


def test_every_section_and_field_is_described() -> None:
    for section in Section.__subclasses__():
        assert section.__doc__, section
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_every_section_is_closed_and_strict() -> None:
    for section in Section.__subclasses__():
        is_closed = section.model_config["extra"] == "forbid"
        assert is_closed or section is StrategySettings, "a strategy itself knows the settings that it has"
        assert section.model_config["strict"] is True
        assert section.model_config["frozen"] is True
