"""Every inquiry of the admin process has one answer of control. The tests of the admin API test the answers."""

import inspect
from types import ModuleType

import pytest
from msgspec import Struct

from pointsman.control.inquiry_handler import ANSWERS
from pointsman.registry import modules

INQUIRIES = dict(modules("pointsman.control.inquiries"))


def inquiries_in(module: ModuleType) -> set[type[Struct]]:
    """Return the classes of messages with a tag, which control tells apart."""
    classes = [one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__]
    return {one for one in classes if issubclass(one, Struct) and one.__struct_config__.tag is not None}


@pytest.mark.parametrize(("name", "module"), list(modules(ANSWERS)))
def test_file_answers_exactly_the_inquiries_in_the_file_of_its_name(name: str, module: ModuleType) -> None:
    assert set(module.ANSWERS) == inquiries_in(INQUIRIES[name])
    assert all(inspect.iscoroutinefunction(answer) for answer in module.ANSWERS.values())


def test_every_file_of_inquiries_has_a_file_of_answers() -> None:
    assert set(INQUIRIES) == {name for name, _ in modules(ANSWERS)}
