"""Rights: nobody grants more than they hold, whatever the scopes are."""

from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.permissions import IMPLIED, ROLES, Permission
from pointsman.domain.rights import (
    ALL,
    EVERYTHING,
    NOTHING,
    OF_AN_OWNER,
    AccessScope,
    Right,
    Rights,
    RoleGrant,
    problem_with_scope,
    rights_of,
)


class Configured:
    """Two customers with a team each, a team without a customer, and a key of each team."""

    TEAMS = {"a": "acme", "b": "beta", "free": None}  # noqa: RUF012
    KEYS = {"ka": "a", "kb": "b", "kf": "free"}  # noqa: RUF012

    def team_of(self, key: str) -> str | None:
        return self.KEYS.get(key)

    def customer_of(self, level: str, name: str) -> str | None:
        team = self.KEYS.get(name) if level == "virtual_key" else name
        return self.TEAMS.get(team or "")


OWNERS = Configured()
SCOPES = [EVERYTHING, *(f"customer:{name}" for name in ("acme", "beta", "other")), "team:a", "team:b", "team:free",
          "virtual_key:ka", "virtual_key:kb", "virtual_key:kf", "virtual_key:unknown"]  # fmt: skip
grants = st.lists(st.builds(RoleGrant, st.sampled_from(sorted(ROLES)), st.sampled_from(SCOPES)), max_size=4)


def keys_of(scope: AccessScope) -> set[str]:
    """The virtual keys in a scope, as a list of rows is filtered."""
    return {
        key
        for key in (*OWNERS.KEYS, "unknown")
        if scope.covers(key, OWNERS.team_of(key), OWNERS.customer_of("virtual_key", key))
    }


@given(grants, grants)
def test_granted_rights_reach_no_object_that_the_granting_caller_does_not_reach(
    own: list[RoleGrant], other: list[RoleGrant]
) -> None:
    mine, theirs = rights_of(own, ROLES), rights_of(other, ROLES)
    if mine.lacks(theirs, OWNERS) is None:
        for permission in set(Permission) - IMPLIED:
            assert keys_of(theirs.scope(permission)) <= keys_of(mine.scope(permission))
            assert mine.scope(permission).is_everything or not theirs.scope(permission).is_everything


@given(grants)
def test_owners_may_grant_everything_and_all_may_grant_their_own_rights(own: list[RoleGrant]) -> None:
    rights = rights_of(own, ROLES)
    assert OF_AN_OWNER.lacks(rights, OWNERS) is None
    assert rights.lacks(rights, OWNERS) is None


def test_missing_permission_is_named_with_its_scope() -> None:
    team_admin = rights_of([RoleGrant("team-admin", "team:a")], ROLES)
    assert team_admin.lacks(rights_of([RoleGrant("member", "virtual_key:ka")], ROLES), OWNERS) is None
    assert team_admin.lacks(rights_of([RoleGrant("member", "virtual_key:kb")], ROLES), OWNERS) == (
        Permission.BUDGETS_READ,
        "virtual_key:kb",
    )
    assert team_admin.lacks(rights_of([RoleGrant("viewer")], ROLES), OWNERS) == (Permission.ALERTS_READ, "*")


def test_scopes_of_several_grants_add_up() -> None:
    rights = rights_of([RoleGrant("member", "team:a"), RoleGrant("team-admin", "team:b"), RoleGrant("gone")], ROLES)
    assert rights.scope(Permission.KEYS_WRITE) == AccessScope(owners=frozenset({"team:b"}))
    assert rights.scope(Permission.KEYS_READ).names("team") == ["a", "b"]
    assert rights.scope(Permission.CONFIG_WRITE) == NOTHING
    assert not NOTHING
    assert rights.scope(Permission.SELF) == ALL
    assert Rights((Right(frozenset({Permission.USAGE_READ})),)).scope(Permission.USAGE_READ) == ALL


def test_empty_names_are_in_no_scope_but_everything() -> None:
    scope = AccessScope(owners=frozenset({"team:", "team:a"}))
    assert not scope.covers("", "", "")
    assert not scope.covers(None, None, None)
    assert ALL.covers()


def test_malformed_scopes_are_rejected() -> None:
    assert problem_with_scope("*") is None
    assert problem_with_scope("team:a:b") is None
    for text in ("", "team", "team:", "provider:openai", "**", "Team:a", "team:" + "x" * 201):
        assert "is no scope" in (problem_with_scope(text) or "")
