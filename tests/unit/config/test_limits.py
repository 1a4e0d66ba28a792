"""Budgets and rate limits have exact amounts, and errors name the field."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.configuration import compiled, errors
from pointsman.config.limits import nano_dollars
from pointsman.domain.limits import Limit, Metric, Period

BASE = "providers: {openai: env.OPENAI_API_KEY}\n"


def of_key(limits: str) -> str:
    return f"{BASE}governance: {{virtual_keys: {{me: {{value: env.CLIENT_KEY, {limits}}}}}}}"


def limits_of(limits: str) -> tuple[Limit, ...]:
    (key,) = compiled(of_key(limits)).snapshot.virtual_keys.values()
    return key.limits


def fields_of(limit: Limit) -> tuple[Metric, str, int, bool]:
    return limit.metric, limit.period.name, limit.amount, limit.soft


def test_only_budgets_can_be_paced() -> None:
    found = limits_of("budgets: [{limit_usd: 5, per: day, paced: true}, {limit_usd: 9, per: month}]")
    assert [limit.paced for limit in found] == [True, False]
    assert errors(of_key("rate_limits: [{requests: 5, per: day, paced: true}]"))


def test_limits_of_every_metric_are_compiled() -> None:
    text = """
      budgets: [{limit_usd: 50, per: day}, {limit_usd: 0.000000001, per: {hours: 6}, soft: true}],
      rate_limits: [{requests: 600, per: minute}, {tokens: 200000, per: minute}]
    """
    assert [fields_of(limit) for limit in limits_of(text)] == [
        ("usd", "day", 50_000_000_000, False),
        ("usd", "6h", 1, True),
        ("requests", "minute", 600, False),
        ("tokens", "minute", 200_000, False),
    ]


@pytest.mark.parametrize("unit", ["minute", "hour", "day", "week", "month", "quarter", "year"])
def test_every_calendar_unit_is_a_period(unit: str) -> None:
    (limit,) = limits_of(f"budgets: [{{limit_usd: 1, per: {unit}}}]")
    assert limit.period == Period(unit)


@pytest.mark.parametrize(
    ("zone", "found"), [("Europe/Berlin", ZoneInfo("Europe/Berlin")), ("UTC", None), ("Etc/UTC", None)]
)
def test_zone_of_a_limit_is_that_of_its_period(zone: str, found: ZoneInfo | None) -> None:
    (limit,) = limits_of(f"budgets: [{{limit_usd: 1, per: day, zone: {zone}}}]")
    assert limit.period.zone == found


@pytest.mark.parametrize("written", ["0.1", "'0.1'", "1e-1", ".1"])
def test_amounts_are_exact_decimals(written: str) -> None:
    """The binary fraction nearest to 0.1 would be 100,000,000.00000000555… billionths."""
    (limit,) = limits_of(f"budgets: [{{limit_usd: {written}, per: day}}]")
    assert limit.amount == 100_000_000


@given(st.integers(1, 10**18))
def test_nano_dollars_are_exact(nano: int) -> None:
    assert nano_dollars(Decimal(nano).scaleb(-9)) == nano


def test_limits_of_every_level_name_their_owner() -> None:
    text = """
    providers: {openai: {keys: {k: {value: env.OPENAI_API_KEY}}, budgets: [{limit_usd: 1, per: day}]}}
    governance:
      customers: {acme: {budgets: [{limit_usd: 2, per: day}]}}
      teams: {research: {customer: acme, budgets: [{limit_usd: 3, per: day}]}}
      virtual_keys:
        me:
          value: env.CLIENT_KEY
          team: research
          budgets: [{limit_usd: 4, per: day}]
          providers: {openai: {budgets: [{limit_usd: 5, per: day}]}}
    """
    snapshot = compiled(text).snapshot
    (key,) = snapshot.virtual_keys.values()
    limits = (*key.limits, *key.entries["openai"].limits, *snapshot.endpoints["openai"].limits)
    assert [(limit.level, limit.owner, limit.amount) for limit in limits] == [
        ("virtual_key", "virtual_key:me", 4_000_000_000),
        ("team", "team:research", 3_000_000_000),
        ("customer", "customer:acme", 2_000_000_000),
        ("entry", "entry:me/openai", 5_000_000_000),
        ("provider", "provider:openai", 1_000_000_000),
    ]


def test_keys_of_a_team_share_its_limits() -> None:
    text = """
    providers: {openai: env.OPENAI_API_KEY}
    governance:
      teams: {research: {budgets: [{limit_usd: 3, per: day}]}}
      virtual_keys:
        me: {value: env.CLIENT_KEY, team: research}
        you: {value: env.GROQ_API_KEY, team: research}
    """
    one, other = compiled(text).snapshot.virtual_keys.values()
    assert one.limits[0] is other.limits[0]


UNITS = "'minute', 'hour', 'day', 'week', 'month', 'quarter' or 'year'"


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("budgets: [{limit_usd: -5, per: day}]", "budgets[0].limit_usd: must be greater than 0"),
        ("budgets: [{limit_usd: 0, per: day}]", "budgets[0].limit_usd: must be greater than 0"),
        ("budgets: [{limit_usd: 1e30, per: day}]", "budgets[0].limit_usd: must be less than or equal to 1000000000"),
        ("budgets: [{limit_usd: .nan, per: day}]", "budgets[0].limit_usd: must be a finite number, not infinity"),
        ("budgets: [{limit_usd: .inf, per: day}]", "budgets[0].limit_usd: must be a finite number, not infinity"),
        ("budgets: [{limit_usd: 1.0000000001, per: day}]", "budgets[0].limit_usd: must have at most 9 decimals"),
        ("budgets: [{limit_usd: fifty, per: day}]", "budgets[0].limit_usd: must be a number, not text"),
        ("budgets: [{limit_usd: true, per: day}]", "budgets[0].limit_usd: must be a number, not true or false"),
        ("budgets: [{limit_usd: 5}]", "budgets[0].per: this field is required"),
        ("budgets: [{limit_usd: 5, per: fortnight}]", f"budgets[0].per: must be {UNITS}"),
        ("budgets: [{limit_usd: 5, per: {hours: 0}}]", "budgets[0].per.hours: must be greater than or equal to 1"),
        ("budgets: [{limit_usd: 5, per: {days: 2}}]", "budgets[0].per.hours: this field is required"),
        (
            "budgets: [{limit_usd: 5, per: day}, {limit_usd: 6, per: day, soft: true}]",
            "budgets[1].per: duplicate limit of usd per day; remove one of the two",
        ),
        (
            "budgets: [{limit_usd: 5, per: {hours: 6}}, {limit_usd: 6, per: {hours: 6}}]",
            "budgets[1].per: duplicate limit of usd per 6h; remove one of the two",
        ),
        (
            "budgets: [{limit_usd: 5, per: day, zone: Europe/Berln}]",
            "budgets[0].zone: unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
        ),
        (
            "budgets: [{limit_usd: 5, per: day, zone: ../../etc/passwd}]",
            "budgets[0].zone: unknown time zone '../../etc/passwd'; use an IANA name, such as `Europe/Berlin`",
        ),
        ("rate_limits: [{requests: 0, per: minute}]", "rate_limits[0].requests: must be greater than or equal to 1"),
        ("rate_limits: [{requests: 1.5, per: minute}]", "rate_limits[0].requests: must be a whole number"),
        ("rate_limits: [{tokens: -1, per: minute}]", "rate_limits[0].tokens: must be greater than or equal to 1"),
        ("rate_limits: [{per: minute}]", "rate_limits[0]: set exactly one of `requests` and `tokens`"),
        (
            "rate_limits: [{requests: 5, tokens: 5, per: minute}]",
            "rate_limits[0]: set exactly one of `requests` and `tokens`",
        ),
        (
            "rate_limits: [{requests: 5, per: hour}, {requests: 6, per: hour}]",
            "rate_limits[1].per: duplicate limit of requests per hour; remove one of the two",
        ),
    ],
)
def test_invalid_limits_are_errors(limits: str, problem: str) -> None:
    assert errors(of_key(limits))[0].startswith(f"governance.virtual_keys.me.{problem}")


@pytest.mark.parametrize(
    ("governance", "problem"),
    [
        (
            "virtual_keys: {me: {value: env.CLIENT_KEY, team: nobody}}",
            "virtual_keys.me.team: unknown team 'nobody'",
        ),
        (
            "customers: {acme: {}}, teams: {t: {customer: acne}}, virtual_keys: {me: {value: env.CLIENT_KEY, team: t}}",
            "teams.t.customer: unknown customer 'acne'; did you mean 'acme'?",
        ),
        (
            "virtual_keys: {me: {value: env.CLIENT_KEY, providers: {opnai: {}}}}",
            "virtual_keys.me.providers.opnai: unknown provider 'opnai'; did you mean 'openai'?",
        ),
        (
            "teams: {t: {team: t}}, virtual_keys: {me: {value: env.CLIENT_KEY, team: t}}",  # no cycle is possible
            "teams.t.team: unknown field",
        ),
        (
            "customers: {c: {}}, teams: {t: {}}, virtual_keys: {me: {value: env.CLIENT_KEY, team: t, customer: c}}",
            "virtual_keys.me.customer: a key with a team belongs to the team's customer; remove this field",
        ),
        (
            "virtual_keys: {me: {value: env.CLIENT_KEY, expires_at: 2030-01-01T00:00:00}}",
            "virtual_keys.me.expires_at: must have an offset from UTC",
        ),
    ],
)
def test_invalid_owners_are_errors(governance: str, problem: str) -> None:
    (message,) = errors(f"{BASE}governance: {{{governance}}}")
    assert message.startswith(f"governance.{problem}")
