"""The sums over the lines of a file. `test_batch_lines.py` has whole lines."""

import pytest
from msgspec.structs import replace

from fakes.batches import WORK
from fakes.engine import running_engine
from fakes.origin import Peer, run
from fakes.routing import call
from pointsman.domain.batches import decode_work
from pointsman.domain.failures import Rejection
from pointsman.domain.identity import VirtualKey
from pointsman.engine.batch_sums import MAX_NAMES, BatchSums


async def silent(peer: Peer) -> None:
    await peer.answer(b"")


def test_work_has_the_requested_names_and_the_rights_of_the_key() -> None:
    async def main() -> None:
        async with running_engine(silent) as rig:
            key = VirtualKey(name="me", digest=b"", provider_tools=frozenset({"batches"}))
            for one, rights in ((None, ""), (key, "[] ['batches']")):
                sums = BatchSums(rig.engine, one, rig.snapshot)
                assert sums.work("/v1/chat/completions") == ""
                for name in ("chat", "alpha/m", "chat"):
                    sums.name(name)
                    line = replace(call(name), snapshot=rig.snapshot, max_tokens=7)
                    assert sums.add(line, rig.snapshot.models["chat"].targets[0]) == line
                work = decode_work(sums.work("/v1/chat/completions"))
                assert work is not None
                assert (work.endpoint, work.names, work.rights) == (WORK.endpoint, ("chat", "alpha/m"), rights)
                assert [(model.model, model.lines, model.tokens_out) for model in work.models] == [("m", 3, 21)]
                assert work.is_bounded

    run(main())


def test_number_of_names_is_bounded() -> None:
    async def main() -> None:
        async with running_engine(silent) as rig:
            sums = BatchSums(rig.engine, None, rig.snapshot)
            for number in range(MAX_NAMES):
                sums.name(f"alpha/{number}")
            sums.name("alpha/0")
            with pytest.raises(Rejection, match=f"in more than {MAX_NAMES} ways"):
                sums.name("alpha/x")

    run(main())
