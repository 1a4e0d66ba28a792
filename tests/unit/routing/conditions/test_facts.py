"""Facts: the value that each reads, and when it is unknown. `test_rulebook.py` covers each variable."""

from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.targets import candidate
from pointsman.routing.conditions.facts import ABSENT, FACTS, MAPS, Reference, Sources, read_of
from pointsman.routing.health import Condition
from pointsman.routing.readings import Reading

CONFIGURATION = snapshot([endpoint("a")], [candidate(endpoint("a"), "m")])


def test_every_fact_can_be_read_of_every_request() -> None:
    at = Sources(Facts(call()), FakeView(CONFIGURATION), NOW)
    for name, fact in FACTS.items():
        found = read_of(Reference(name, "", fact.kind))(at)
        assert found is None or isinstance(found, (type(ABSENT[fact.kind]), int)), name
        assert fact.meaning.endswith("."), name
    for name, kind in MAPS.items():
        found = read_of(Reference(name, kind.example, kind.kind or "text"))(at)
        assert found is None or isinstance(found, str | float | int), name
        assert kind.check is None or kind.check(kind.example) is None, name


def test_client_without_an_address_is_unknown() -> None:
    read = read_of(Reference("client_ip", "", "text"))
    assert read(Sources(Facts(call()), FakeView(CONFIGURATION), NOW)) is None
    assert read(Sources(Facts(call(), client="192.0.2.1"), FakeView(CONFIGURATION), NOW)) == "192.0.2.1"


def test_provider_is_as_healthy_as_its_best_model() -> None:
    view = FakeView(CONFIGURATION)
    read = read_of(Reference("health", "a", "text"))

    def health() -> object:
        return read(Sources(Facts(call()), view, NOW))

    assert health() == "healthy"
    view.conditions["a/m"] = Condition(failures=3, blocks=1, blocked_until=NOW + 5)
    assert health() == "failed"
    view.conditions["a/n"] = Condition(failures=3, blocks=1, blocked_until=NOW - 5)
    assert health() == "recovering"
    view.readings["a/o"] = Reading(NOW)
    assert health() == "degraded"
    view.conditions.clear()
    assert health() == "healthy"


def test_parameter_of_another_type_is_unknown() -> None:
    read = read_of(Reference("params", "temperature", "number"))
    for body, expected in (({}, -1.0), ({"temperature": b"0.5"}, 0.5), ({"temperature": b'"hot"'}, None)):
        facts = Facts(replace(call(), fields=body))
        assert read(Sources(facts, FakeView(CONFIGURATION), NOW)) == expected
