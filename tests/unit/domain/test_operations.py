"""Operations."""

from pointsman.domain.operations import STATEFUL, Operation


def test_operations_are_found_in_sets_whichever_way_they_were_come_by() -> None:
    for operation in Operation:
        assert Operation(operation.value) in frozenset(Operation)
    assert Operation.CHAT not in STATEFUL
    assert Operation("file") in STATEFUL
