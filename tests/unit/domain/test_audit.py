"""The chain of the audit log, and the masks of its differences."""

from msgspec.structs import replace

from pointsman.domain.audit import (
    FIRST,
    MASK,
    Actor,
    AuditEvent,
    AuditRecord,
    ChainCheck,
    ChainEnd,
    chained,
    difference,
)


def records(count: int) -> list[AuditRecord]:
    events = [AuditEvent(action="create", kind="team", name=f"t{number}") for number in range(count)]
    return list(chained(ChainEnd(), 1.5, Actor("user:ann", "::1", "r"), events))


def faults(found: list[AuditRecord]) -> list[str]:
    check = ChainCheck()
    for one in found:
        check.add(one)
    return check.faults


def test_chain_of_records_is_intact() -> None:
    made = records(3)
    assert faults(made) == []
    assert made[0].hash == made[0].following(FIRST)
    more = list(chained(ChainEnd(3, made[2].hash), 2.5, Actor(), [AuditEvent(action="load", kind="configuration")]))
    assert faults([*made, *more]) == []
    assert [one.number for one in (*made, *more)] == [1, 2, 3, 4]


def test_every_change_of_a_field_breaks_the_chain() -> None:
    made = records(3)
    for name in AuditRecord.__struct_fields__:
        value = getattr(made[1], name)
        other = f"{value}x" if isinstance(value, str) else value + 1
        assert faults([made[0], replace(made[1], **{name: other}), made[2]]), name


def test_removed_and_moved_records_break_the_chain() -> None:
    one, two, three = records(3)
    assert faults([one, three])
    assert faults([two, three])
    assert faults([one, three, two])
    assert faults([one, replace(three, number=2), replace(two, number=3)])


def test_difference_has_the_changed_fields() -> None:
    before = {"labels": {"a": "1", "b": "2"}, "budgets": [{"limit_usd": 5}], "note": "same"}
    after = {"labels": {"a": "1", "b": "3"}, "budgets": [{"limit_usd": 6}], "note": "same"}
    found = {one.field: (one.before, one.after) for one in difference("team", "t", before, after)}
    assert found == {"labels.b": ("2", "3"), "budgets": ([{"limit_usd": 5}], [{"limit_usd": 6}])}
    assert difference("team", "t", before, before) == ()
    assert [one.before for one in difference("team", "t", None, {"x": 1})] == [None]


def test_secrets_are_masked() -> None:
    provider = {
        "keys": {
            "main": {"value": "sk-very-secret", "weight": 1, "aws": {"secret_access_key": "s1", "region": "eu"}},
            "other": "sealed:v1:abcd:AAAA",
        },
        "headers": {"x-auth": "s2"},
        "note": "sealed:v1:efgh:BBBB",
    }
    text = str(difference("provider", "p", None, provider))
    for secret in ("sk-very-secret", "s1", "AAAA", "s2", "BBBB"):
        assert secret not in text, secret
    assert "eu" in text
    user = difference("user", "u", {"password": "$argon2id$one"}, {"password": "$argon2id$two"})
    assert [(one.field, one.before, one.after) for one in user] == [("password", MASK, MASK)]
    file = {"providers": {"openai": "sk-plain-text-key"}, "governance": {"virtual_keys": {"a": {"value": "env.KEY"}}}}
    shown = str(difference("configuration", "file", None, file))
    assert "sk-plain" not in shown
    assert "env.KEY" in shown


def test_texts_are_stored_unchanged_by_every_database() -> None:
    (record,) = chained(ChainEnd(), 1.0, Actor("a\x00\ud800"), [AuditEvent(action="x", kind="k", name="n\x00")])
    assert "\x00" not in record.actor + record.name
    assert record.actor.encode().decode() == record.actor
