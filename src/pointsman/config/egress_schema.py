"""The part of the configuration file about the network path to other servers."""

from typing import Annotated

from pydantic import Field

from pointsman.config.sections import Section, Text


class EgressSettings(Section):
    """The network settings for calls to providers."""

    proxy: str | None = None
    """The address of a CONNECT proxy, `http://host:port`. If the address has a password, use `env.NAME` or `file:PATH`.
    For a single provider, `""` means no proxy."""
    ca_file: Text | None = None
    """A PEM file of certificate authorities to trust in addition to the system's."""
    client_cert: Text | None = None
    """A PEM file of a client certificate."""
    client_key: Text | None = None
    """A PEM file of the client certificate's key. Default: the key is in `client_cert`."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The largest number of connections from each worker to one address of a provider. If all are in use, a request
    goes to another candidate or waits. Default: the number of open files is the only limit."""


class GlobalEgressSettings(EgressSettings):
    """The network settings for calls to providers, and the private addresses that other servers may have."""

    allow_private: Annotated[list[Text], Field(max_length=64)] = []
    """Networks of private addresses, such as `10.1.0.0/16`, that receivers of webhooks, object stores, and providers
    made by API may be at. They must be at public addresses otherwise. Behind a proxy this has no effect, because a
    proxy resolves names itself. Collectors, and providers in this file, may be at private addresses in any case."""
