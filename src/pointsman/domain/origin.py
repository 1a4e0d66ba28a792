"""Origins of connections, and the secrets that belong to them."""

from typing import TypeAlias

from msgspec import Struct


class Secret:
    """A string that is hidden from `repr`, logs and encoded structs. `reference` names its source, so that a file can
    refer to it; it is `None` if the source is unknown."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str | None = None) -> None:
        self._value = value
        self.reference = reference if value else ""

    def reveal(self) -> str:
        """Return the string itself. It is called only to build a request head for the origin the secret belongs to."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be serialized")


# The means by which a provider knows its customer: so far an API key. A signing key, or a token that is refreshed, will
# be another member of this union.
Credential: TypeAlias = Secret


_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origin(Struct, frozen=True):
    """Scheme, host and port: the owner of a connection and of a credential."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def bare_host(self) -> str:
        """The host without the brackets that an IPv6 address has in a URL."""
        return self.host.removeprefix("[").removesuffix("]")

    @property
    def address(self) -> str:
        """Host and port as written in a URL."""
        host = self.bare_host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the Host header, without the default port of the scheme."""
        return self.address.removesuffix(_DEFAULT_PORTS.get(self.scheme, "-"))
