"""The order of events."""

from pointsman.simulate.worlds.agenda import Agenda


def test_events_happen_by_time_and_then_by_entry() -> None:
    agenda, found = Agenda(), list[tuple[float, str]]()

    def note(name: str) -> None:
        found.append((agenda.now, name))
        if name == "first":
            agenda.at(agenda.now + 0.5, note, "entered later")

    agenda.at(2.0, note, "last")
    agenda.at(1.0, note, "first")
    agenda.at(1.0, note, "second")
    agenda.play()
    assert found == [(1.0, "first"), (1.0, "second"), (1.5, "entered later"), (2.0, "last")]
