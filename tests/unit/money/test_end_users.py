"""End users have counters of their own up to a number in each window, and share one after that."""

from hypothesis import given
from hypothesis import strategies as st

from pointsman.domain.identity import EndUserLimits, VirtualKey
from pointsman.domain.limits import Limit, Period
from pointsman.money.end_users import DIGITS, EndUsers, user_name

NOW = 1_800_000_000.0
DAY, MINUTE = Period("day"), Period("minute")


def limits_of(*periods: Period, at_most: int = 2) -> EndUserLimits:
    limits = tuple(
        Limit(level="end_user", owner="end_user:all", metric="usd", period=period, amount=100) for period in periods
    )
    return EndUserLimits(selector="all", header="", at_most=at_most, limits=limits)


def key(name: str = "app", team: str | None = None) -> VirtualKey:
    return VirtualKey(name=name, digest=b"", team=team)


def owners(users: EndUsers, of: EndUserLimits, user: str, now: float = NOW) -> list[str]:
    return [limit.owner.partition("/")[2] for limit in users.limits(of, key(), user, now)]


def test_users_past_the_most_share_one_counter_until_the_window_ends() -> None:
    users, of = EndUsers(), limits_of(DAY)
    names = [user_name(key(), user) for user in ("ann", "ben")]
    assert [owners(users, of, user)[0] for user in ("ann", "ben", "cid", "dan", "ann")] == [
        *names,
        "others",
        "others",
        names[0],
    ]
    tomorrow = NOW + 86_400
    assert owners(users, of, "cid", tomorrow) == [user_name(key(), "cid")]


def test_each_limit_has_windows_of_its_own() -> None:
    users, of = EndUsers(), limits_of(MINUTE, DAY, at_most=1)
    assert owners(users, of, "ann") == [user_name(key(), "ann")] * 2
    assert owners(users, of, "ben", NOW + 60) == [user_name(key(), "ben"), "others"]


def test_limits_of_a_user_are_the_same_objects_within_a_window() -> None:
    users, of = EndUsers(), limits_of(MINUTE)
    assert users.limits(of, key(), "ann", NOW) is users.limits(of, key(), "ann", NOW + 1)
    assert users.limits(of, key(), "ann", NOW) is not users.limits(of, key(), "ann", NOW + 60)


def test_users_belong_to_the_team_or_else_to_the_key() -> None:
    assert user_name(key("one", "red"), "ann") == user_name(key("two", "red"), "ann")
    assert len({user_name(one, "ann") for one in (key("red"), key("blue"), key("x", "red"), key("x", "blue"))}) == 4


@given(st.text(st.characters(), max_size=2000))
def test_names_of_counters_are_short_and_safe(user: str) -> None:
    name = user_name(key(), user)
    assert len(name) == DIGITS
    assert set(name) <= set("0123456789abcdef")
