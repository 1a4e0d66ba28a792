"""Answers questions about requests that are not sent, with the amounts and the stored objects that control knows."""

import asyncio
from collections.abc import Iterable
from time import monotonic, time

import msgspec

from pointsman.control.inquiries.explain import Explained
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.holds import Hold
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.live import Amounts
from pointsman.engine.questions import Question, UnknownKeyError, answer, ids_in
from pointsman.routing.explain import as_data, as_lines

_QUESTION = msgspec.json.Decoder(Question)


async def explain(
    data: bytes, snapshot: Snapshot, store: Store | None, amounts: Amounts, *, holds: Iterable[Hold]
) -> Explained:
    """Answer a question. `holds` are the orders of operators. The decision is made in a thread: the first one about a
    configuration compiles its rules, which takes too long for the loop."""
    try:
        question = _QUESTION.decode(data)
        ids = await asyncio.to_thread(ids_in, question, snapshot)
        records = await store.state(ids) if ids and store is not None else []

        def explained() -> Explained:
            now = monotonic()
            found = answer(question, snapshot, amounts, now, time(), holds=holds, records=records)
            lines = as_lines(found.decision, now, found.consulted)
            return Explained(msgspec.json.encode(as_data(found.decision, now, found.consulted)), lines)

        return await asyncio.to_thread(explained)
    except (msgspec.DecodeError, UnknownKeyError, StoreError) as error:
        return Explained(b"", problem=str(error))
