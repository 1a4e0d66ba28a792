"""The exchange of health between simulated workers. It works as in production, without the messages between processes:
`link.health` has the worker's part, and `control.health_server` that of control. Both deal with sockets and real time.
"""

from pointsman.engine.live import Live
from pointsman.link.health import BEAT_S, URGENT_S
from pointsman.routing.shared_view import SharedView
from pointsman.simulate.worlds.agenda import Agenda


class _Member:
    """A connected worker. `beats` counts its timers, so that an old one has no effect."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.shared = SharedView(live)
        self.beats = 0
        self.is_sharing = False


class Exchange:
    """The workers that share their health, in the order of their connections. No timer begins after `ends_at`."""

    def __init__(self, agenda: Agenda, ends_at: float) -> None:
        self._agenda = agenda
        self._ends_at = ends_at
        self._members: list[_Member] = []

    def connect(self, live: Live) -> None:
        """Add a worker. The longest connected one gives it all that it knows."""
        member, now = _Member(live), self._agenda.now
        self._members.append(member)
        self._rank()
        member.shared.on_urgent = lambda: self._wait(member, URGENT_S)
        if len(self._members) > 1:
            member.shared.learn(self._members[0].shared.whole(now), now)

    def disconnect(self, live: Live) -> None:
        """Remove a worker."""
        for one in self._members:
            if one.live is live:
                one.beats += 1
                one.shared.share(None)
        self._members = [one for one in self._members if one.live is not live]
        self._rank()

    def _rank(self) -> None:
        """Give each worker its rank among the others. A single worker has none, and shares nothing."""
        is_alone = len(self._members) == 1
        for rank, one in enumerate(self._members):
            one.shared.share(None if is_alone else rank)
            if is_alone:
                one.beats += 1
            elif not one.is_sharing:
                self._wait(one, BEAT_S)
            one.is_sharing = not is_alone

    def _wait(self, member: _Member, seconds: float) -> None:
        member.beats += 1
        at = self._agenda.now + seconds
        if at < self._ends_at:
            self._agenda.at(at, self._beat, member, member.beats)

    def _beat(self, member: _Member, beats: int) -> None:
        """Send the news of a worker to the others."""
        if beats != member.beats:
            return
        now = self._agenda.now
        news = member.shared.take(now)
        if news is not None:
            for other in self._members:
                if other is not member:
                    other.shared.learn(news, now)
        self._wait(member, BEAT_S)
