"""The part of the configuration file about users of the console, their sessions and single sign-on."""

from typing import Annotated

from pydantic import Field

from pointsman.config.sections import Section

Duration = Annotated[float, Field(ge=60, le=30 * 86_400)]


class ConsoleSessionSettings(Section):
    """The duration of the sessions of users."""

    idle_s: Duration = 3600.0
    """A session without a request for so long ends, in seconds."""
    max_s: Duration = 43_200.0
    """A session ends after this time in any case, in seconds."""
