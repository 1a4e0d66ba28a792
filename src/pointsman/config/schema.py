"""The configuration file as types. The JSON Schema and the reference page are generated from here.

Every class lists, in `PLANNED`, fields that the configuration contract has but this version does not act on. They are
refused with a message of their own: a field that is read and changes nothing would be a lie.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pointsman.domain.snapshots import Routing, Snapshot, Timeouts

_ROUTING = Routing()
_TIMEOUTS = Timeouts()
_KEY_HEADERS = list(Snapshot("", {}, {}, {}).key_headers)
_MIB = 1024 * 1024

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bytes = Annotated[int, Field(ge=1024, le=64 * 1024 * _MIB)]
Weight = Annotated[float, Field(ge=0)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]{1,256}$")]
Pattern = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]{1,256}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]


class Section(BaseModel):
    """What every part of the file has in common: no unknown fields, no silent conversions."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
    PLANNED: ClassVar[frozenset[str]] = frozenset()


class TlsSettings(Section):
    """The gateway's own certificate."""

    cert_file: Text
    """PEM file with the certificate and its chain. Relative paths start at the configuration file."""
    key_file: Text
    """PEM file with the private key."""


class LimitTimeouts(Section):
    """How long a client may take, in seconds."""

    head_s: Seconds = 10.0
    """For sending the head of a request."""
    body_s: Seconds = 60.0
    """Silence while a body is being read."""
    idle_s: Seconds = 75.0
    """Between two requests on a kept-alive connection."""
    write_s: Seconds = 60.0
    """Without reading while output is waiting."""


class LimitSettings(Section):
    """What one client, and all of them together, may take."""

    body_bytes: Bytes = 50 * _MIB
    """The largest request body."""
    head_bytes: Annotated[int, Field(ge=1024, le=_MIB)] = 64 * 1024
    """The largest request head."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Client connections at the same time."""
    body_memory_bytes: Bytes = 1024 * _MIB
    """Memory held in request bodies, over all connections."""
    timeouts: LimitTimeouts = LimitTimeouts()
    """How long a client may take."""


class ServerSettings(Section):
    """The address clients use."""

    listen: Text = "127.0.0.1:8080"
    """`host:port`; `:8080` listens on every address, `[::1]:8080` on an IPv6 one."""
    workers: Annotated[int, Field(ge=1)] = 1
    """Worker processes. More than one is not supported by this version."""
    tls: TlsSettings | None = None
    """Serve HTTPS. Plain HTTP without it."""
    limits: LimitSettings = LimitSettings()
    """Bounds on what clients may send and hold."""
    drain_s: Seconds = 30.0
    """How long requests in progress may go on after SIGTERM, in seconds."""


class ConsoleSettings(Section):
    """The operator's address, kept apart from the clients' one. Serves metrics."""

    listen: Text = "127.0.0.1:8081"
    """`host:port`."""


class EgressSettings(Section):
    """How providers are reached."""

    proxy: str | None = None
    """A CONNECT proxy: `http://host:port`, or `env.NAME` or `file:PATH` where the address holds a password.
    At a provider, `""` means none."""
    ca_file: Text | None = None
    """PEM file with certificate authorities trusted in addition to the system's."""
    client_cert: Text | None = None
    """PEM file with a client certificate."""
    client_key: Text | None = None
    """PEM file with its key, where it is not in the same file."""


class KeySettings(Section):
    """One API key of a provider."""

    value: Annotated[str, Field(max_length=4096)]
    """`env.NAME` or `file:PATH`; `""` for a provider that wants no key."""
    weight: Weight = 1.0
    """Share of the requests, of any scale. 0 takes the key out of use."""
    serves: list[Pattern] = []
    """Shell-style patterns of the model names this key may be used for. All, when absent."""


def _expand_key(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class ProviderSettings(Section):
    """A provider. A name the gateway knows brings dialect, address and authentication."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"budgets", "rate_limits", "pricing"})

    type: Name | None = None
    """The provider record to use. Absent: that of the provider's own name."""
    base_url: Text | None = None
    """The address up to the path of the API's version, such as `http://127.0.0.1:8000/v1`."""
    keys: dict[
        Name, Annotated[KeySettings, BeforeValidator(_expand_key, json_schema_input_type=str | KeySettings)]
    ] = {}
    """API keys by name; `name: env.NAME` is short for `name: {value: env.NAME}`."""
    serves: list[Pattern] = []
    """Shell-style patterns of bare model names that may be resolved to this provider."""
    tags: dict[Name, Text | list[Text]] = {}
    """What is known of the provider, such as `region: eu`."""
    egress: EgressSettings | None = None
    """Overrides fields of the global `egress` for this provider."""


def _expand_provider(value: object) -> object:
    if value is None:
        return {}
    return {"keys": {"default": {"value": value}}} if isinstance(value, str) else value


class TargetSettings(Section):
    """A provider and model that a public name stands for."""

    model: ModelName
    """`provider/model`, or a bare name that configured providers serve."""
    weight: Weight = 1.0
    """Share of the requests, of any scale. 0 takes the target out of use."""
    variant: Name | None = None
    """A label for comparisons, shown in logs and metrics."""


def _expand_target(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class ModelSettings(Section):
    """A public model name: what clients ask for, and what serves it."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"require", "duplicates", "timeouts"})

    strategy: Name | None = None
    """How targets are chosen. Absent: `routing.strategy`."""
    targets: Annotated[
        list[Annotated[TargetSettings, BeforeValidator(_expand_target, json_schema_input_type=str | TargetSettings)]],
        Field(min_length=1, max_length=64),
    ]
    """What serves the name; a text is short for `{model: …}`."""
    fallbacks: Annotated[list[ModelName], Field(max_length=64)] = []
    """Tried in this order after the targets: `provider/model`, never a public name."""


def _expand_model(value: object) -> object:
    if isinstance(value, str):
        return {"strategy": "priority", "targets": [value]}
    return {"strategy": "priority", "targets": value} if isinstance(value, list) else value


class TimeoutSettings(Section):
    """Time limits of one request, in seconds."""

    connect_s: Seconds = _TIMEOUTS.connect_s
    """For connecting to a provider, name lookup and TLS included."""
    commit_s: Seconds = _TIMEOUTS.commit_s
    """Until the answer commits: all attempts together."""
    stall_s: Seconds = _TIMEOUTS.stall_s
    """Silence inside a stream that has committed."""
    stream_s: Seconds = _TIMEOUTS.stream_s
    """A committed stream as a whole."""
    queue_s: Seconds = _TIMEOUTS.queue_s
    """Waiting for a provider's rate limit to free."""


class RoutingSettings(Section):
    """The defaults of every plan."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"duplicates", "rules"})

    strategy: Name = _ROUTING.strategy
    """How targets are chosen where the public name does not say."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = _ROUTING.max_attempts
    """The most attempts one request may make, over all providers and keys."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """Time limits."""
    commit_buffer: Bytes = _ROUTING.commit_buffer
    """Bytes of a non-streamed answer that are held back until it is whole, so that a broken one can be replaced."""


class VirtualKeySettings(Section):
    """A key that clients of the gateway present."""

    PLANNED: ClassVar[frozenset[str]] = frozenset(
        {"team", "labels", "providers", "require", "budgets", "rate_limits", "allow_models", "strategy"}
    )

    value: Annotated[str, Field(max_length=4096)]
    """`env.NAME`, `file:PATH`, or `sha256:` and the digest of the key in hexadecimal."""


class GovernanceSettings(Section):
    """Who may use the gateway."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"customers", "teams"})

    require_key: bool = True
    """Whether a request must present a virtual key. `false` is allowed on a loopback address only."""
    virtual_keys: dict[
        Name,
        Annotated[VirtualKeySettings, BeforeValidator(_expand_key, json_schema_input_type=str | VirtualKeySettings)],
    ] = {}
    """Keys by name; `name: env.NAME` is short for `name: {value: env.NAME}`."""
    key_headers: Annotated[list[HeaderName], Field(min_length=1, max_length=8)] = _KEY_HEADERS
    """Request headers a virtual key is looked for in. `authorization` carries it behind `Bearer`."""


class LoggingSettings(Section):
    """One JSON line for each request, and the gateway's own messages."""

    file: Text | None = None
    """Where the lines go. Absent: standard output."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe of the gateway's own messages that is written."""


class Document(Section):
    """A Pointsman configuration file."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"require", "pricing", "mcp", "cache", "guardrails"})

    version: Literal[1] = 1
    """The version of this format."""
    server: ServerSettings = ServerSettings()
    """The address clients use."""
    console: ConsoleSettings = ConsoleSettings()
    """The operator's address."""
    data_dir: Text = "./data"
    """Where the gateway keeps what must survive it."""
    egress: EgressSettings = EgressSettings()
    """How providers are reached."""
    providers: Annotated[
        dict[
            Name,
            Annotated[
                ProviderSettings,
                BeforeValidator(_expand_provider, json_schema_input_type=str | ProviderSettings | None),
            ],
        ],
        Field(min_length=1),
    ]
    """Providers by name; `openai: env.OPENAI_API_KEY` is short for a known name with one key."""
    models: dict[
        ModelName,
        Annotated[
            ModelSettings,
            BeforeValidator(_expand_model, json_schema_input_type=str | list[str | TargetSettings] | ModelSettings),
        ],
    ] = {}
    """Public model names; a list is short for targets in order of priority."""
    routing: RoutingSettings = RoutingSettings()
    """How requests are routed."""
    governance: GovernanceSettings = GovernanceSettings()
    """Who may use the gateway."""
    logging: LoggingSettings = LoggingSettings()
    """What is written about requests."""
