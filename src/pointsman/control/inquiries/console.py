"""The settings of logins at the console, for the admin process, which has no configuration of its own."""

from msgspec import Struct


class ConsoleInquiry(Struct, frozen=True, tag="console"):
    """Answered by one `LoginSettings`."""


class LoginSettings(Struct, frozen=True, kw_only=True):
    """The settings. `public_url` is the address for browsers, without a slash at its end. Requests of `trusted_proxies`
    report the address of their client. Times are in seconds."""

    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    idle_s: float = 3600.0
    max_s: float = 43_200.0
