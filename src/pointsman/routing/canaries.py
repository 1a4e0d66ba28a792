"""Canaries: targets that are compared with the other targets of their public name, and aborted if they are worse.

The comparison is between attempts at the same time. Each attempt at a canary adds its own result, and the result that
the control had at that moment. So an outage that hits both, one after the other, aborts nothing. Older attempts count
less: the sums are those of about the last `WINDOW` times `min_requests` attempts.

A canary is aborted only if its difference from the control passes the allowed one with `CERTAINTY` standard errors.
Every failure of an attempt counts except rate limits and clients that disconnect: those say nothing about the target.
"""

from collections.abc import Iterable, Mapping
from math import exp, inf, log, sqrt

from msgspec import Struct

from pointsman.domain.failures import Failure, Fault
from pointsman.domain.targets import Arm, Candidate

WINDOW = 4  # times `min_requests`: the attempts that the sums cover
CERTAINTY = 1.64  # standard errors: a canary exactly at its limit is aborted in one of twenty looks
CONTROL_SAMPLES = 10  # attempts at the control before a canary is compared with it
_CONTROL_KEEPS = 1 - 1 / 50  # of each sum of the control, at every attempt
_FEW_S = 1e-6  # less than any real time: the logarithm of 0 has no value
_UNCOUNTED = (Fault.QUOTA, Fault.CLIENT)


class Sums(Struct, gc=False):
    """Sums over recent attempts. `logs` is of logarithms of the seconds to the first byte, of `timed` attempts."""

    count: int = 0
    weight: float = 0.0
    failures: float = 0.0
    timed: float = 0.0
    logs: float = 0.0


class Compared(Sums, gc=False):
    """Sums over attempts at a canary. `expected` is of the control's error rates at their time; `ratios` and `squares`
    are of the logarithms of the ratios to the control's time."""

    expected: float = 0.0
    ratios: float = 0.0
    squares: float = 0.0


class Aborted(Struct, frozen=True):
    """A canary that no longer gets requests, with the `reason`. It is tried again after `until`, in monotonic seconds;
    infinite if only a change of its settings ends it."""

    arm: Arm
    reason: str
    until: float


class Canaries:
    """The comparisons of one worker. `aborted` has the canaries that are aborted now."""

    def __init__(self) -> None:
        self.aborted: Mapping[Arm, Aborted] = {}
        self._controls: dict[str, Sums] = {}
        self._compared: dict[Arm, Compared] = {}

    def keep(self, targets: Iterable[Candidate]) -> None:
        """Forget canaries that are not among the targets of a new configuration, or have other settings there."""
        arms = {item.arm for item in targets if item.arm is not None}
        names = {arm.model for arm in arms}
        self.aborted = {arm: one for arm, one in self.aborted.items() if arm in arms}
        self._controls = {name: one for name, one in self._controls.items() if name in names}
        self._compared = {arm: one for arm, one in self._compared.items() if arm in arms}

    def observe(self, arm: Arm, failure: Failure | None, first_byte_s: float | None, now: float) -> Aborted | None:
        """Note an attempt at a target of a name with a canary. Return the canary if this attempt aborts it."""
        if failure is not None and failure.kind.fault in _UNCOUNTED:
            return None
        guard = arm.guard
        control = self._controls.get(arm.model)
        if guard is None:
            if control is None:
                control = self._controls[arm.model] = Sums()
            _add(control, failure, first_byte_s, _CONTROL_KEEPS)
            return None
        if control is None or control.count < CONTROL_SAMPLES:
            return None
        before = self.aborted.get(arm)
        if before is not None:
            if now < before.until:
                return None
            self._compared.pop(arm, None)
            self.aborted = {other: one for other, one in self.aborted.items() if other is not before.arm}
        sums = self._compared.get(arm)
        if sums is None:
            sums = self._compared[arm] = Compared()
        _compare(sums, control, failure, first_byte_s, 1 - 1 / (WINDOW * guard.min_requests))
        reason = _judge(arm, sums) if sums.count >= guard.min_requests else None
        if reason is None:
            return None
        del self._compared[arm]
        until = now + guard.resume_after_s if guard.resume_after_s is not None else inf
        found = Aborted(arm, reason, until)
        self.aborted = {**self.aborted, arm: found}
        return found


def _add(sums: Sums, failure: Failure | None, first_byte_s: float | None, kept: float) -> None:
    sums.count += 1
    sums.weight = sums.weight * kept + 1
    sums.failures = sums.failures * kept + (failure is not None)
    if failure is None and first_byte_s is not None:
        sums.timed = sums.timed * kept + 1
        sums.logs = sums.logs * kept + log(max(first_byte_s, _FEW_S))


def _compare(sums: Compared, control: Sums, failure: Failure | None, first_byte_s: float | None, kept: float) -> None:
    """Add an attempt at a canary, beside the present state of the control."""
    _add(sums, failure, first_byte_s if control.timed else None, kept)
    sums.expected = sums.expected * kept + control.failures / control.weight
    if failure is None and first_byte_s is not None and control.timed:
        ratio = log(max(first_byte_s, _FEW_S)) - control.logs / control.timed
        sums.ratios = sums.ratios * kept + ratio
        sums.squares = sums.squares * kept + ratio * ratio


def _judge(arm: Arm, sums: Compared) -> str | None:
    """Return the reason to abort a canary, if there is one."""
    guard = arm.guard
    assert guard is not None
    weight = sums.weight
    if guard.error_rate_above_control is not None:
        allowed = min(sums.expected / weight + guard.error_rate_above_control, 1.0)
        if sums.failures / weight > allowed + CERTAINTY * sqrt(allowed * (1 - allowed) / weight):
            return (
                f"{sums.failures / weight:.1%} of its attempts failed, against {sums.expected / weight:.1%} of the "
                f"control's; {guard.error_rate_above_control:.1%} more are allowed"
            )
    if guard.ttft_ratio_to_control is not None and sums.timed >= guard.min_requests / 2:
        mean = sums.ratios / sums.timed
        error = sqrt(max(sums.squares / sums.timed - mean * mean, 0.0) / sums.timed)
        if mean - CERTAINTY * error > log(guard.ttft_ratio_to_control):
            return (
                f"its first bytes take {exp(mean):.2f} times as long as the control's; "
                f"{guard.ttft_ratio_to_control:g} times are allowed"
            )
    return None
