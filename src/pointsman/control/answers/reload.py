"""The configuration file, read again."""

from pointsman.control.inquiries.reload import Reload, ReloadOutcome
from pointsman.control.parts import Answers, ControlParts


async def _reload(_: Reload, parts: ControlParts) -> list[ReloadOutcome]:
    return [ReloadOutcome(*await parts.configuration.reload(), parts.configuration.digest)]


ANSWERS: Answers = {Reload: _reload}
