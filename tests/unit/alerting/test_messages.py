"""Messages about alerts that changed together."""

from fakes.alerts import alert, message, rule
from pointsman.alerting.messages import MAX_LISTED, message_of, messages_about, only_about


def test_alerts_of_a_rule_share_a_message_for_each_channel() -> None:
    rules = {"r": rule(channels=("ops", "chat"))}
    found = list(messages_about("fired", [alert(1), alert(2), alert(3, rule="removed")], rules, 5.0))
    assert [(one.channel, [item.id for item in one.alerts]) for one in found] == [
        ("ops", ["id-1", "id-2"]),
        ("chat", ["id-1", "id-2"]),
    ]


def test_labels_divide_the_alerts() -> None:
    rules = {"r": rule(group_by=("model",))}
    assert len(list(messages_about("ended", [alert(1), alert(2)], rules, 5.0))) == 2


def test_id_follows_from_the_alerts_and_not_from_the_time() -> None:
    one = message_of("ops", "fired", [alert(1), alert(2)], 5.0)
    assert one.id == message_of("ops", "fired", [alert(2), alert(1)], 6.0).id
    others = [message_of("ops", "ended", [alert(1), alert(2)], 5.0), message_of("chat", "fired", [alert(1)], 5.0)]
    assert len({one.id, *(other.id for other in others)}) == 3


def test_long_list_is_counted() -> None:
    one = message_of("ops", "fired", [alert(number) for number in range(MAX_LISTED + 7)], 5.0)
    assert (len(one.alerts), one.more) == (MAX_LISTED, 7)


def test_known_alerts_are_left_out() -> None:
    both = message(1, 2)
    assert only_about(both, ["id-1", "id-2"]) is both
    assert only_about(both, ["id-2", "id-9"]) == message(2)
    assert only_about(both, []) is None
