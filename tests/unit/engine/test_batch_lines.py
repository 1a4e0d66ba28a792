"""The lines of a file for a batch, as a worker checks, bounds and translates them."""

import json
from math import inf
from time import monotonic
from typing import Any

import pytest

from fakes.engine import Rig, running_engine
from fakes.origin import Peer, run
from fakes.wire import parsed_head
from pointsman.domain.batches import decode_work
from pointsman.domain.failures import Rejection
from pointsman.domain.holds import Held, Hold
from pointsman.domain.plans import Choice, Try
from pointsman.domain.snapshots import PublicModel
from pointsman.domain.targets import candidate
from pointsman.engine.batch_lines import BatchLines
from pointsman.engine.batch_sums import MAX_MODELS
from pointsman.routing.health import Condition
from pointsman.wire.paths import ParsedHead

CHAT = "/v1/chat/completions"


def lines_of(rig: Rig) -> BatchLines:
    candidate = rig.snapshot.models["chat"].targets[0]
    head = parsed_head("/files", content_type="multipart/form-data; boundary=B")
    parsed = ParsedHead(head.api, head.head, rig.snapshot)
    step = Try(Choice(candidate, candidate.keys), candidate.keys[0], 1.0)
    return BatchLines(rig.engine, parsed, None, step)


def line(model: str = "chat", url: str = CHAT, **fields: Any) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return json.dumps({"custom_id": "a", "method": "POST", "url": url, "body": body}).encode()


async def silent(peer: Peer) -> None:
    await peer.answer(b"")


def test_lines_are_translated_and_summed_by_model() -> None:
    async def main() -> None:
        async with running_engine(silent) as rig:
            lines = lines_of(rig)
            assert lines.work() == ""
            sent = json.loads(lines.take(1, line(max_tokens=7)))
            assert (sent["custom_id"], sent["body"]["model"], sent["body"]["max_tokens"]) == ("a", "m", 7)
            lines.take(2, line("alpha/other", max_completion_tokens=5, n=2))
            work = decode_work(lines.work())
            assert work is not None
            assert work.is_bounded
            assert work.endpoint == CHAT
            first, second = work.models
            assert (first.model, first.lines, first.tokens_out) == ("m", 1, 7)
            assert (second.model, second.lines, second.tokens_out) == ("other", 1, 10)
            lines.take(3, line())
            work = decode_work(lines.work())
            assert work is not None
            assert not work.is_bounded, "without a limit, a line may lack a maximum"

    run(main())


def test_lines_do_not_depend_on_present_faults() -> None:
    async def main() -> None:
        async with running_engine(silent, silent) as rig:
            alpha = rig.snapshot.endpoints["alpha"]
            targets = (candidate(alpha, "m"), candidate(alpha, "n"))
            rig.snapshot.models["chat"] = PublicModel(name="chat", targets=targets)
            now = monotonic()
            rig.live.conditions["alpha/m"] = Condition(failures=3, blocks=1, blocked_until=now + 3600)
            rig.live.change()
            lines = lines_of(rig)
            assert json.loads(lines.take(1, line()))["body"]["model"] == "m"
            with pytest.raises(
                Rejection, match="the file is stored at provider 'alpha', but the model 'beta/m' has no"
            ):
                lines.take(2, line("beta/m"))
            rig.live.faults.holds = {"alpha/m": Held(Hold("alpha/m", "out", "repair", now), inf)}
            assert json.loads(lines_of(rig).take(1, line()))["body"]["model"] == "n"

    run(main())


def test_faulty_lines_are_rejected() -> None:
    async def main() -> None:
        async with running_engine(silent) as rig:
            for faulty, words in (
                (line(stream=True), "no streams"),
                (line(fallbacks=["alpha/m"]), "no fallbacks"),
                (line("nobody/m"), "does not exist"),
                (line(url="/v1/embeddings"), "as in the first line"),
                (line(messages="x"), "messages"),
            ):
                lines = lines_of(rig)
                lines.take(1, line())
                with pytest.raises(Rejection, match=words):
                    lines.take(2, faulty)
            with pytest.raises(Rejection, match="the url must be"):
                lines_of(rig).take(1, line(url="/v1/files"))
            lines = lines_of(rig)
            for number in range(MAX_MODELS):
                lines.take(1 + number, line(f"alpha/m{number}"))
            with pytest.raises(Rejection, match="split it"):
                lines.take(MAX_MODELS + 1, line("alpha/one-more"))

    run(main())
