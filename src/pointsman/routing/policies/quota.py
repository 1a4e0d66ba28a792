"""A key whose provider's limits have no room for a request is avoided. A provider without another key is tried last."""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.health import block_of
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.quotas import need_of
from pointsman.routing.view import View


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    if not view.quotas.mirrors:
        return None
    need, found = need_of(facts.call), []
    for key in item.keys:
        shortage = view.quotas.shortage(item, key.name, need, now)
        if shortage is not None:
            found.append(shortage)
        elif block_of(view.key_blocks, item, key.name, now) is None:
            return None
    if not found:
        return None
    until = now + min(one.wait_s for one in found)
    return Reason("quota_short", "; ".join(map(str, found)), is_last_resort=True, until=until)


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return `None`: the state of limits decides, and not the configuration or the request alone."""
    return None
