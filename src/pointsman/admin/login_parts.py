"""The parts of the admin process for logins: passwords, identity providers, and the settings."""

from time import monotonic

import msgspec
from msgspec import Struct

from pointsman.admin.passwords import Passwords
from pointsman.admin.sign_on.flow import SignOnFlow
from pointsman.control.inquiries.console import ConsoleInquiry, LoginSettings
from pointsman.link.inquirer import AwayError, Inquirer

SETTINGS_S = 5.0  # settings of logins may be so old


class LoginParts(Struct, kw_only=True, eq=False):
    """The parts. `known` are the last settings, and the time at which they were read."""

    passwords: Passwords = msgspec.field(default_factory=Passwords)
    sign_on: SignOnFlow = msgspec.field(default_factory=SignOnFlow)
    known: tuple[float, LoginSettings] | None = None

    async def settings(self, control: Inquirer) -> LoginSettings:
        """Return the settings. While control is away, they are the last ones. Raises `AwayError`."""
        known, now = self.known, monotonic()
        if known is not None and now - known[0] < SETTINGS_S:
            return known[1]
        try:
            (found,) = await control.ask(ConsoleInquiry(), LoginSettings)
        except AwayError:
            if known is None:
                raise
            found = known[1]
        self.known = now, found
        return found
