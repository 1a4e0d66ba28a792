"""Sinks of the request log in tests."""

from typing import Any

from msgspec.structs import asdict, replace

from fakes.recipients import SECRET, WEBHOOK
from pointsman.control.inquiries.sinks import Conditions, SinkState
from pointsman.control.recipients import Recipient
from pointsman.domain.bodies import Redaction

MASKS = Redaction(kinds=("secrets", "email", "phone", "card"))
OPEN_GATE = Conditions(redaction=MASKS)


def recipient(port: int, **fields: Any) -> Recipient:
    given = asdict(WEBHOOK)
    del given["secrets"]
    return Recipient(**given | {"port": port, **fields})


def sink(kind: str, **fields: Any) -> SinkState:
    return replace(SinkState(name="one", type=kind, conditions=OPEN_GATE), **fields)


def webhook_sink(port: int) -> SinkState:
    return sink("webhook", recipient=recipient(port), secrets=(SECRET,))


def object_sink(port: int, **fields: Any) -> SinkState:
    return sink(
        "s3",
        recipient=recipient(port, path="", headers={}),
        secrets=("canary-of-the-store",),
        key_id="AKIDEXAMPLE",
        region="eu-central-1",
        path="/logs/a b/",
        **fields,
    )
