"""The sinks that admin gets from control."""

import msgspec

from fakes.configuration import ENVIRON, OPEN, compiled
from pointsman.control.sinks import sink_states
from pointsman.domain.requirements import Tag

BASE = "providers: {openai: env.OPENAI_API_KEY}\nrequire: {region: eu}\n" + OPEN


def test_sinks_have_their_own_secrets_alone() -> None:
    text = (
        "sinks: {a: {type: s3, bucket: logs, region: eu-west-1, access_key_id: AKID, secret_access_key: env.KEY, "
        "tags: {region: eu}, only: {share: 0.5}}}\nredaction: {fields: [x]}"
    )
    (found,) = sink_states(compiled(BASE + text, {**ENVIRON, "KEY": "canary"}))
    assert found.secrets == ("canary",)
    assert [str(one) for one in found.conditions.require] == ["region=eu"]
    assert found.conditions.tags == {"region": (Tag("eu"),)}
    assert (found.conditions.filter.share, found.conditions.redaction.fields) == (0.5, ("x",))
    assert ENVIRON["OPENAI_API_KEY"].encode() not in msgspec.msgpack.encode(found)
