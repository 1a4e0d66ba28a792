"""Rules for every channel of alerts."""

import json

import pytest
from msgspec.structs import replace

from fakes.alerts import alert, message
from pointsman.alerting.api import ChannelKind, Event
from pointsman.alerting.channels import CHANNELS
from pointsman.alerting.messages import message_of

ALL = pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)


@ALL
@pytest.mark.parametrize("event", ["fired", "ended", "test"])
def test_content_is_json_with_the_texts_of_alerts(channel: ChannelKind, event: Event) -> None:
    content = json.dumps(json.loads(channel.body(replace(message(1, 2), event=event))))
    assert "p/m1 is failed" in content
    assert "p/m2 is failed" in content


@ALL
def test_content_is_bounded_and_counts_the_rest(channel: ChannelKind) -> None:
    many = message_of("ops", "fired", [alert(number, text="x" * 200) for number in range(5000)], 1.0)
    content = channel.body(many)
    assert len(content) < 100_000
    assert b"4900" in content or b"4980" in content


def test_slack_gets_no_markup_of_others() -> None:
    text = json.loads(
        CHANNELS["slack"].body(message_of("ops", "fired", [alert(text="<!channel> & <http://x|y>")], 1.0))
    )
    assert "<" not in text["text"]
    assert "&lt;!channel&gt; &amp; &lt;http://x|y&gt;" in text["text"]


def test_webhook_names_its_event() -> None:
    content = json.loads(CHANNELS["webhook"].body(message(1)))
    assert (content["type"], content["data"]["rule"], content["timestamp"][:4]) == ("alert.fired", "r", "1970")
    assert "key" not in content["data"]["alerts"][0]
