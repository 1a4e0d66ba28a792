"""The settings of logins at the console."""

from pointsman.control.inquiries.console import ConsoleInquiry, LoginSettings
from pointsman.control.parts import Answers, ControlParts


async def _settings(_: ConsoleInquiry, parts: ControlParts) -> list[LoginSettings]:
    current = parts.configuration.current
    console = current.console
    settings = LoginSettings(
        public_url=console.public_url,
        trusted_proxies=current.snapshot.access.trusted_proxies,
        idle_s=console.idle_s,
        max_s=console.max_s,
    )
    return [settings]


ANSWERS: Answers = {ConsoleInquiry: _settings}
