"""Every field of the schema is described, and every section is strict."""

from pointsman.config.sections import Section


def test_every_section_and_field_is_described() -> None:
    for section in Section.__subclasses__():
        assert section.__doc__, section
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_every_section_is_closed_and_strict() -> None:
    for section in Section.__subclasses__():
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["strict"] is True
        assert section.model_config["frozen"] is True
