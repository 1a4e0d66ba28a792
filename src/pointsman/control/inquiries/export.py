"""The export to a collector."""

from msgspec import Struct


class ExportInquiry(Struct, frozen=True, tag="export"):
    """Answered by one `ExportSettings`, or by none if there is no collector."""


class ExportSettings(Struct, frozen=True, kw_only=True):
    """The collector of OpenTelemetry, and the settings of the export to it. `headers` and `proxy_authorization` are
    secrets, which admin gets for nothing else. `proxy` is scheme, host and port. `types` are the types of providers by
    name. Times are in seconds."""

    scheme: str
    host: str
    port: int
    base_path: str
    headers: dict[str, str]
    signals: tuple[str, ...]
    timeout_s: float
    connect_timeout_s: float
    metrics_interval_s: float
    ratio: float
    errors: bool
    slow_s: float | None
    service_name: str
    attributes: dict[str, str]
    types: dict[str, str]
    proxy: tuple[str, str, int] | None = None
    proxy_authorization: str = ""
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def __repr__(self) -> str:
        return f"ExportSettings({self.scheme}://{self.host}:{self.port})"
