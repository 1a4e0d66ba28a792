"""Names that the configuration has."""

from msgspec import Struct


class NameInquiry(Struct, frozen=True, tag="names"):
    """Answered by the kinds of the names that the configuration does not have. Names by kind."""

    names: dict[str, str]
