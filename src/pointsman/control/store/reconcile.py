"""Changes in the store when an attempt without a reported cost becomes a charge. No I/O.

That happens when an operator reconciles it, or when the last of its windows ends. Either way limits no longer hold more
of it than its cost. Corrections of counters are charged to the epoch `NO_WORKER`, so the sums of each worker's journal
stay unchanged.
"""

import json
from collections.abc import Iterable, Mapping

import msgspec

from pointsman.control.store.request_tally import CountedRequest, RequestTally
from pointsman.control.store.tables import USAGE_KEYS, USAGE_SUMS, Row

NO_WORKER = 0  # the epochs of workers begin at 1
OPEN, LAPSED, RECONCILED, KEPT = "open", "lapsed", "reconciled", "kept"
_PARTS = {"estimated": "estimated_nano", "reserved": "reserved_nano", "batch": "estimated_nano"}
_SUMS = tuple(dict.fromkeys(_PARTS.values()))
_NO_TOKENS: Mapping[str, int] = {}
_DECODER = msgspec.json.Decoder(CountedRequest)


def rejection_reason(row: Row | None, *, is_over: bool) -> str | None:
    """Return the reason why an attempt cannot be reconciled, or `None` if it can. `is_over` is true if its request has
    ended."""
    if row is None:
        return "there is no such attempt without a reported cost; GET /api/v1/unsettled lists them"
    if row["state"] == RECONCILED:
        return f"it is already reconciled, at {row['reconciled_nano'] / 1e9:.9f} dollars"
    if row["state"] == KEPT:
        return "an older version stored too little of it to reconcile it"
    return None if is_over else "its request has not ended yet; retry when it has"


def settled(row: Row, nano: int | None) -> tuple[list[Row], Row]:
    """Return the increments of counters and of usage that turn an attempt into a charge: of `nano`, or of its assumed
    cost."""
    usd = (row["nano"] if nano is None else nano) - row["nano"] - row["held_nano"]
    tokens = row["tokens_used"] - row["tokens"]
    counters = [
        {
            "counter": counter,
            "window_start": start,
            "epoch": NO_WORKER,
            "window_end": end,
            "posted": usd if metric == "usd" else tokens,
        }
        for counter, start, end, metric in json.loads(row["counters"])
    ]
    usage = {name: row[name] for name in USAGE_KEYS} | dict.fromkeys(USAGE_SUMS, 0)
    usage["held_nano"] = -row["held_nano"]
    if nano is not None:
        usage["nano"] = nano - row["nano"]
        usage[_PARTS[row["source"]]] = -row["nano"]
    return [one for one in counters if one["posted"]], usage


def corrected(
    request: Row, rows: Iterable[tuple[Row, int]], tokens: Mapping[str, int] = _NO_TOKENS
) -> tuple[Row, RequestTally]:
    """Return the changed columns of a request whose attempts have these costs, and the increments of sums over
    requests. `tokens` are increments too."""
    record = msgspec.json.decode(request["record"])
    sums = dict.fromkeys(("nano", *_SUMS), 0)
    for row, nano in rows:
        ordinal = int(row["attempt_id"].rpartition("-")[2])
        attempts = record.get("attempts", [])
        if 0 < ordinal <= len(attempts):
            attempts[ordinal - 1] |= {"cost_nano": nano, "usage_source": RECONCILED, "held_nano": 0}
        sums["nano"] += nano - row["nano"]
        sums[_PARTS[row["source"]]] -= row["nano"]
    record["cost_nano"] = record.get("cost_nano", 0) + sums["nano"]
    for part in _SUMS:
        record[part] = record.get(part, 0) + sums[part]
    line = msgspec.json.encode(record)
    tally = RequestTally()
    tally.correct(_DECODER.decode(line), sums | dict(tokens))
    changed = {name: request[name] + sums[name] for name in ("nano", *_SUMS)}
    return {**changed, "cost_bits": changed["nano"].bit_length(), "record": line}, tally
