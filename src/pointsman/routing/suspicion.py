"""The suspicion that this gateway is at fault, when the breakers of most providers open together.

Its own network, DNS or proxy makes every provider fail at once. Then blocks would only keep it from noticing that all
is well again. So for some seconds no breaker opens. A provider that answered since the failures began is proof that the
gateway reaches the world, so there is no suspicion. Envoy's panic threshold has the same aim.
"""

WINDOW_S = 5.0  # between the first and the last of the breakers that opened together
FREEZE_S = 5.0
FEWEST = 3  # providers in use: of two, both may well fail


class Suspicion:
    """The breakers that opened lately, by provider. `until` is the end of the suspicion in monotonic seconds."""

    def __init__(self) -> None:
        self._tripped: dict[str, tuple[float, float]] = {}  # when it tripped, and since when it had been failing
        self.until = 0.0

    def note_trip(self, provider: str, now: float, failing_since: float, *, in_use: int, served_at: float) -> bool:
        """Note that a breaker is about to open. Return whether the gateway suspects itself, and so leaves it closed.
        `in_use` is the number of providers used lately, and `served_at` the last time that one of them answered."""
        recent = {name: one for name, one in self._tripped.items() if one[0] > now - WINDOW_S}
        recent[provider] = (now, min(failing_since, recent.get(provider, (0.0, failing_since))[1]))
        self._tripped = recent
        is_most = in_use >= FEWEST and 2 * len(recent) > in_use
        if is_most and served_at <= min(since for _, since in recent.values()):
            self.until = now + FREEZE_S
        return now < self.until

    @property
    def providers(self) -> list[str]:
        """The providers whose breakers opened, or were about to, within the last `WINDOW_S` before the latest one."""
        return sorted(self._tripped)
