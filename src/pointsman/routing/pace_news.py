"""The evidence about paces that workers exchange: sums since the last exchange.

Sums add up, so deltas may be merged in any order. The times are monotonic seconds, which all processes of a machine
share.
"""

from msgspec import Struct

STALE_S = 5.0  # an older delta is ignored
MOST_NEWS = 256  # paces in one delta; the others follow in the next one


class PaceNews(Struct, array_like=True, gc=False):
    """The new evidence about one pace, which `name` (of `health.subject`) and `stream` identify. `model` is the
    requested model, and `peers` the mean usual ratio of its candidates.

    `answers` is the weight of the answers and `ratios` the sum of their ratios, for the recent memory; `usual_answers`
    and `usual_ratios` are those for the long memory. `deviations` is the sum of the logarithms of ratio by estimate,
    for the detection of changes. `served` and `failed` count attempts, and the failed ones took `lost_s` seconds
    together. `answered_at` is the time of the last answer. `probe_s` is the pause after
    the last unsuccessful probe, if one has ended, and `probes_at` the start of the last probe. `is_back` says that the
    candidate has answered again after an outage, so that earlier failures are forgotten.
    """

    name: str
    stream: bool
    model: str = ""
    peers: float = 1.0
    answers: float = 0.0
    ratios: float = 0.0
    usual_answers: float = 0.0
    usual_ratios: float = 0.0
    deviations: float = 0.0
    served: float = 0.0
    failed: float = 0.0
    lost_s: float = 0.0
    answered_at: float = 0.0
    probe_s: float = 0.0
    probes_at: float = 0.0
    is_back: bool = False


class PaceDelta(Struct, array_like=True):
    """The news of one worker at the time `at`, and the requests that arrived since the last delta, by requested
    model."""

    at: float
    news: list[PaceNews] = []
    arrivals: dict[str, int] = {}
