"""Users: their roles, each once, and their names in the audit log."""

from pointsman.domain.rights import RoleGrant
from pointsman.domain.users import User, token_holder, user_holder

USER = User(id="u-1", issuer="local", subject="vera", name="Vera", created_at=1.0, changed_at=1.0)


def test_roles_of_people_and_groups_add_up() -> None:
    viewer = RoleGrant("viewer")
    user = User(
        id="u-2", issuer="https://idp", subject="1", name="Vera", created_at=1.0, changed_at=1.0,
        granted=(viewer,), mapped=(RoleGrant("analyst"), viewer),
    )  # fmt: skip
    assert user.grants == (RoleGrant("analyst"), viewer)
    assert user.label == "user:Vera (u-2)"


def test_holders_of_different_kinds_never_have_the_same_name() -> None:
    assert USER.label == "user:vera"
    assert user_holder("x") != token_holder("x")
