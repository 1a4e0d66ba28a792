"""The table of permissions: every one has a line, and no role but the owner's has all."""

from pointsman.domain import permissions
from pointsman.domain.permissions import IMPLIED, OF_OWNERS, OWNER, ROLES, Permission


def test_every_permission_has_a_line_in_the_table() -> None:
    lines = {line.split()[0] for line in permissions._TABLE.strip().splitlines()[1:]}
    assert lines == {one.value for one in set(Permission) - IMPLIED}


def test_owners_hold_everything_and_nobody_else_holds_the_permissions_of_owners() -> None:
    assert ROLES[OWNER] == set(Permission) - IMPLIED
    assert not [name for name, held in ROLES.items() if name != OWNER and held & OF_OWNERS]
    assert not [name for name, held in ROLES.items() if held & IMPLIED]


def test_viewers_change_nothing() -> None:
    assert {one.value.partition(":")[2] for one in ROLES["viewer"]} == {"read"}
    assert {one for one in ROLES["member"] if not one.endswith(":read")} == {Permission.KEYS_OWN}
