"""The settings of the processes: their addresses and their output. A change takes effect at a restart, except one of
`Telemetry`."""

from pathlib import Path

from msgspec import Struct

from pointsman.alerting.api import AlertRule
from pointsman.config.addresses import ListenAddress
from pointsman.domain.bodies import KEEP_DAYS, BodyCapture, Redaction
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.requirements import NO_TAGS, Tags
from pointsman.domain.rights import RoleGrant
from pointsman.domain.tracing import Tracing
from pointsman.transport.http_server import Limits
from pointsman.transport.server_tls import Tls


class Settings(Struct, frozen=True, kw_only=True):
    """The parts of the configuration that shape the process. Paths are absolute or relative to the working folder."""

    listen: ListenAddress
    console: ListenAddress
    tls: Tls | None
    limits: Limits
    drain_s: float
    data_dir: Path
    log_file: Path | None
    log_level: str
    workers: int = 1
    max_stale_s: float = 900.0
    store_url: Secret | None = None
    keep_requests_days: float = 30.0
    keep_requests_bytes: int | None = None
    keep_minutes_days: float = 7.0
    durability: str = "process"
    journal_bytes: int = 8 * 1024**3
    list_models_s: float | None = None
    console_hosts: frozenset[str] = frozenset()
    console_tls: Tls | None = None


class RemoteServer(Struct, frozen=True, kw_only=True):
    """A server that the gateway sends its own data to. `path` is that of its address, without a slash at the end.
    `headers` are secret values by name. Times are in seconds."""

    origin: Origin
    path: str
    headers: tuple[tuple[str, Secret], ...]
    network: Network
    timeout_s: float


class Collector(RemoteServer, frozen=True, kw_only=True):
    """A server of OTLP over HTTP. Its paths, such as `/v1/traces`, are appended to `path`."""

    metrics_interval_s: float
    signals: tuple[str, ...]
    tags: Tags = NO_TAGS


class WebhookTarget(RemoteServer, frozen=True, kw_only=True):
    """A receiver of webhooks. `secrets` sign each message."""

    secrets: tuple[Secret, ...]


class Filter(Struct, frozen=True, kw_only=True):
    """The requests of a sink. `fields` are the allowed values of fields of the record, by name; empty ones allow all.
    `share` is the share of the requests, chosen by their ids, and `when` a condition in CEL."""

    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    min_status: int | None = None
    share: float = 1.0
    when: str = ""


NO_FILTER = Filter()


class LogSink(Struct, frozen=True, kw_only=True):
    """A sink of the request log. `type` is the name of its file in `admin.sinks`. `server` and `secrets` are those of a
    receiver of webhooks, or of a store of objects, whose access key has the id `key_id`. `path` is a file, or the
    beginning of the keys of objects. `max_bytes` and `keep` rotate a file. Times are in seconds."""

    name: str
    type: str
    filter: Filter = Filter()
    tags: Tags = NO_TAGS
    server: RemoteServer | None = None
    secrets: tuple[Secret, ...] = ()
    key_id: str = ""
    region: str = ""
    path: str = ""
    max_bytes: int = 0
    keep: int = 0
    batch_s: float = 0.0
    has_bodies: bool = False


class ChannelTarget(WebhookTarget, frozen=True, kw_only=True):
    """A channel for messages about alerts. `type` is the name of its kind. If its address is a secret, it is `address`,
    and `path` is empty."""

    name: str
    type: str
    address: Secret | None = None


class Alerts(Struct, frozen=True):
    """The rules of alerts, and the channels. Ended alerts are kept for `keep_days`."""

    rules: tuple[AlertRule, ...]
    channels: tuple[ChannelTarget, ...]
    keep_days: float


class Telemetry(Struct, frozen=True, kw_only=True):
    """The settings of the export, of sinks and of alerts. `redaction` holds for the former two. `errors` and `slow_s`
    choose requests whatever their head decided."""

    collector: Collector | None = None
    tracing: Tracing = Tracing()
    errors: bool = True
    slow_s: float | None = None
    service_name: str = "pointsman"
    attributes: tuple[tuple[str, str], ...] = ()
    redaction: Redaction = Redaction()
    bodies: BodyCapture | None = None
    keep_bodies_days: float = KEEP_DAYS
    sinks: tuple[LogSink, ...] = ()
    alerts: Alerts | None = None


class IdentityProvider(RemoteServer, frozen=True, kw_only=True):
    """An identity provider for single sign-on. `issuer` is its address, as it must state it itself. `groups` are the
    roles of each group, and `default_roles` those of every user. Sessions are checked again after `recheck_s`."""

    name: str
    issuer: str
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    groups_claim: str
    groups: tuple[tuple[str, tuple[RoleGrant, ...]], ...]
    default_roles: tuple[RoleGrant, ...]
    recheck_s: float


class Console(Struct, frozen=True, kw_only=True):
    """The settings of logins at the console. `public_url` is the address for browsers, without a slash at its end.
    Times are in seconds."""

    public_url: str | None = None
    idle_s: float = 3600.0
    max_s: float = 43_200.0
    sign_on: tuple[IdentityProvider, ...] = ()


def changed_fields(old: Settings, new: Settings) -> list[str]:
    """Return the fields of the file that a reload cannot put into force, because they differ and need a restart."""
    names = {"listen": "server.listen", "console": "console.listen", "tls": "server.tls", "limits": "server.limits"}
    names |= {"drain_s": "server.drain_s", "log_file": "logging.file", "log_level": "logging.level"}
    names |= {"workers": "server.workers", "max_stale_s": "governance.max_stale_s", "store_url": "store.url"}
    names |= {name: f"store.{name}" for name in ("keep_requests_days", "keep_requests_bytes", "keep_minutes_days")}
    names |= {"durability": "journal.durability", "journal_bytes": "journal.max_bytes"}
    names |= {"list_models_s": "catalog.list_models_s", "console_hosts": "console.allowed_hosts"}
    names |= {"console_tls": "console.tls"}
    return [
        names.get(field, field) for field in Settings.__struct_fields__ if getattr(old, field) != getattr(new, field)
    ]
