"""The configuration file as types. The JSON Schema and the reference page are generated from here.

Every class lists, in `PLANNED`, fields that the configuration contract has but this version does not act on. They are
rejected with a message of their own, since a field without effect would mislead.
"""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from pointsman.config.alerts_schema import AlertsSettings
from pointsman.config.bodies_schema import BodySettings
from pointsman.config.compliance_schema import RequireField, TagsField
from pointsman.config.credentials_schema import AwsField, EntraField, Reference
from pointsman.config.egress_schema import EgressSettings, GlobalEgressSettings
from pointsman.config.identities_schema import (
    ClaimSettings,
    ClientCertificateSettings,
    EachCallerSettings,
    JwtSettings,
)
from pointsman.config.limits_schema import BudgetSettings, RateLimitSettings
from pointsman.config.mirrors import MirrorSettings
from pointsman.config.pricing_schema import PricingSettings
from pointsman.config.routing_schema import ModelSettings, RoutingSettings, TargetSettings, expand_model
from pointsman.config.sections import (
    DEFAULT_KEY_HEADERS,
    MIB,
    Bytes,
    HeaderName,
    ModelName,
    Name,
    Pattern,
    Seconds,
    Section,
    Text,
    Weight,
)
from pointsman.config.sign_on_schema import ConsoleSessionSettings, SignOnSettings
from pointsman.config.sinks_schema import RedactionSettings, SinkSettings
from pointsman.config.strategies import StrategyField
from pointsman.config.telemetry_schema import TelemetrySettings


class TlsSettings(Section):
    """The gateway's own certificate."""

    cert_file: Text
    """The PEM file of the certificate and its chain. A relative path starts at the configuration file."""
    key_file: Text
    """The PEM file of the private key."""
    client_ca_file: Text | None = None
    """A PEM file of authorities. Clients may then present a certificate that one of them has signed. Default: clients
    are not asked for certificates."""
    client_certificates: Literal["required", "optional"] = "required"
    """With `required`, clients without such a certificate cannot connect. It has an effect with `client_ca_file`
    only."""


class LimitTimeouts(Section):
    """The longest times that a client may take, in seconds."""

    head_s: Seconds = 10.0
    """The longest time to send the head of a request."""
    body_s: Seconds = 60.0
    """The longest silence while a client sends a body. A body that takes longer than this must also arrive at 1,000
    bytes per second on average."""
    idle_s: Seconds = 75.0
    """The longest pause between two requests on a kept-alive connection."""
    write_s: Seconds = 60.0
    """The longest time that a client may read nothing while output waits for it."""


class LimitSettings(Section):
    """Limits of size and time for clients."""

    body_bytes: Bytes = 50 * MIB
    """The largest request body, in bytes."""
    head_bytes: Annotated[int, Field(ge=1024, le=MIB)] = 64 * 1024
    """The largest request head, in bytes."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The largest number of simultaneous client connections."""
    body_memory_bytes: Bytes = 1024 * MIB
    """The most memory for request bodies of all connections together, in bytes. It must not be less than
    `body_bytes`."""
    timeouts: LimitTimeouts = LimitTimeouts()
    """The longest times that a client may take."""


class CorsSettings(Section):
    """Web pages that may call the gateway from a browser."""

    origins: Annotated[list[Text], Field(max_length=1000)] = []
    """The origins of these pages, such as `https://app.example.com`. `*` allows all pages."""


class ServerSettings(Section):
    """The address and the limits for clients."""

    listen: Text = "127.0.0.1:8080"
    """The address for clients, as `host:port`. `:8080` listens on every address, `[::1]:8080` on an IPv6 address."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """The number of worker processes. One worker serves several thousand requests per second and uses one core."""
    tls: TlsSettings | None = None
    """The certificate for HTTPS. The gateway reads changed files within a minute. Default: plain HTTP."""
    limits: LimitSettings = LimitSettings()
    """Limits of size and time for clients."""
    drain_s: Seconds = 30.0
    """The longest time that requests in progress may continue after SIGTERM, in seconds."""
    default_provider: Name | None = None
    """The provider for requests that name neither a model nor a stored object, such as an upload to `/v1/files`.
    Default: none, so such a request must name its provider in the header `x-pointsman-provider`, unless only one
    provider can serve it."""
    trusted_proxies: Annotated[list[Text], Field(max_length=1000)] = []
    """Addresses or networks of reverse proxies, such as `10.0.0.0/8`. The client's address is then the right-most one
    in `X-Forwarded-For` that is not in this list. The log shows this address, and wrong keys are counted for it."""
    allowed_hosts: Annotated[list[Text], Field(max_length=1000)] = []
    """Host names that clients may use for the gateway, besides `localhost` and loopback addresses. Default: any name if
    keys are required. With `governance.require_key: false`, the gateway rejects every other name. This stops web pages
    that point a name of their own at the gateway."""
    limit_headers: bool = False
    """If true, answers report the remaining limits of the virtual key, in OpenAI's headers `x-ratelimit-*` and in
    `x-pointsman-budget-remaining-usd`."""
    cors: CorsSettings = CorsSettings()
    """Web pages that may call the gateway from a browser. If no key is required, all other pages are rejected."""


class ConsoleSettings(Section):
    """The address for operators: console, admin API and metrics."""

    listen: Text = "127.0.0.1:8081"
    """The address of the console, as `host:port`."""
    tls: TlsSettings | None = None
    """The certificate for HTTPS at the console. Default: plain HTTP."""
    allowed_hosts: Annotated[list[Text], Field(max_length=1000)] = []
    """Host names that browsers may use for the console, besides its own address and loopback addresses. Add the name of
    a reverse proxy that forwards the client's `Host`."""
    public_url: Text | None = None
    """The address that browsers use for the console, such as `https://pointsman.example.com`. Its host is allowed too.
    If it begins with `https://`, cookies of sessions are sent over HTTPS only."""
    sessions: ConsoleSessionSettings = ConsoleSessionSettings()
    """The duration of the sessions of users."""
    sign_on: Annotated[dict[Name, SignOnSettings], Field(max_length=20)] = {}
    """Identity providers for single sign-on at the console, by a name of your choice. They require `public_url`."""


# A name is a part of a path, or a resource of a cloud, such as an ARN.
Deployments = dict[Text, Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/@-]+$", max_length=512)]]


class KeySettings(Section):
    """A credential of a provider: one of `value`, `aws`, `google` and `entra`."""

    value: Reference | None = None
    """A reference to an API key, `env.NAME` or `file:PATH`, or a secret that `pointsman export` wrote, `sealed:…`. `""`
    is for a provider that requires no key."""
    aws: AwsField | None = None
    """Keys of AWS. `ambient` uses those of the machine or container."""
    google: Reference | None = None
    """An account of Google Cloud: a reference to its JSON file, `file:PATH` or `env.NAME`, or `adc` for the application
    default credentials. The gateway fetches and renews its tokens."""
    entra: EntraField | None = None
    """An identity of Microsoft Entra ID: `managed_identity`, `ambient`, or the fields of an application."""
    weight: Weight = 1.0
    """The share of requests that use this key, relative to the weights of the other keys. 0 disables the key."""
    serves: list[Pattern] = []
    """Shell-style patterns of the models that this key may be used for. Default: all."""
    tags: TagsField = {}
    """Properties of the key's account. A tag replaces the provider's tag of the same name."""
    cache_domain: Name | None = None
    """The provider's cache of prompts that this key uses, by any name. Keys of one organisation share a cache: give
    them the same name, so that the strategy `adaptive` knows it. Default: the key has a cache of its own."""
    deployments: Deployments = {}
    """The server's names for models, for requests with this key: fine-tuned models of its account, or inference
    profiles. They replace all `deployments` of the provider."""


def _read_version(value: object) -> object:
    return value.isoformat() if type(value) is date else value  # as YAML reads 2024-10-21


def _expand_key(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class ServesSettings(Section):
    """The bare model names of a provider, beside those that the model catalog has for it."""

    also: list[Pattern] = []
    """Shell-style patterns of names that the provider serves in addition to its models in the catalog."""
    only: list[Pattern] = []
    """Shell-style patterns of the only names that the provider serves. The catalog then adds none."""


def _expand_serves(value: object) -> object:
    return {"also": value} if isinstance(value, list) else value


class ProviderSettings(Section):
    """A provider. A known name implies its dialect, address and authentication."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"pricing"})

    type: Name | None = None
    """The type of the provider. Default: the provider's own name."""
    base_url: Text | None = None
    """The address, including the path of the API's version, such as `http://127.0.0.1:8000/v1`. Default: that of the
    type."""
    keys: dict[
        Name, Annotated[KeySettings, BeforeValidator(_expand_key, json_schema_input_type=str | KeySettings)]
    ] = {}
    """API keys by name. `name: env.NAME` is short for `name: {value: env.NAME}`."""
    serves: Annotated[
        ServesSettings, BeforeValidator(_expand_serves, json_schema_input_type=list[Pattern] | ServesSettings)
    ] = ServesSettings()
    """The bare model names that this provider serves. A list of shell-style patterns adds to its models in the catalog,
    `{only: [...]}` replaces them. Default: its models in the catalog."""
    catalog: Annotated[str, Field(max_length=64)] | None = None
    """The provider in the model catalog that models and prices are taken from. `""` means none. Default: the one with
    the same address, else the one of the same type."""
    tags: TagsField = {}
    """Properties of the provider that requirements ask for, such as `region: eu` or `certifications: [hipaa, soc2]`. A
    value may be a mapping with `value`, `evidence` and `expires`."""
    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Limits of the money spent at this provider."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Limits of the attempts and tokens at this provider."""
    bills_unfinished: Literal["full", "prompt", "none"] | None = None
    """The amount that limits charge for an attempt without any received answer, after a disconnect, a timeout or a
    broken connection. `full` charges the whole reservation, `prompt` the estimated prompt, and `none` nothing. Default:
    `prompt` for streams, else `full`. Received parts of a stream are always charged."""
    output_bound: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The field in which this provider reads the maximum tokens of a chat's answer. If a limit needs a maximum and the
    client sets none, the gateway adds this field. With `max_tokens`, the gateway sends a client's
    `max_completion_tokens` as `max_tokens` instead. Default: depends on the type. `openai-compatible` uses
    `max_tokens`, or `max_completion_tokens` if `catalog` is `openai` or `azure`, and leaves a client's own field
    unchanged."""
    max_concurrency: Literal["auto", "none"] | Annotated[int, Field(ge=1, le=100_000)] | None = None
    """The most attempts in progress at each model of this provider. Requests beyond it prefer another target, and come
    here only if no other is left. A number is divided among the workers. `auto` learns the limit from the times of
    answers, and `none` sets no limit. Default: `auto` for engines that users run themselves (`vllm`, `sglang`,
    `ollama`, `llama-cpp`, `lm-studio`), else `none`."""
    deployments: Deployments = {}
    """The server's names for models by the catalog's name, such as `{gpt-4o: my-gpt-4o}`: Azure's deployments,
    fine-tuned models, or inference profiles. Prices and fallbacks follow the model. With the type `azure`, a key serves
    only models with a deployment."""
    api_version: (
        Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$"), BeforeValidator(_read_version, json_schema_input_type=str)]
        | None
    ) = None
    """The version of Azure's dated API, such as `2024-10-21`. `base_url` then ends with `/openai`. Default: none, for
    the address that ends with `/openai/v1`. Only for the type `azure`."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    """The region of the cloud, such as `europe-west4`. Only for types of providers that have regions."""
    project: Annotated[str, Field(pattern=r"^[a-z0-9:.-]{1,128}$")] | None = None
    """The id of the project at Google Cloud. Only for the type `vertex`."""
    trace_context: bool = False
    """If true, requests to this provider carry the W3C headers `traceparent` and `tracestate`, so that its spans join
    the trace. The provider then learns which requests belong together. Use it for servers of your own."""
    egress: EgressSettings | None = None
    """Network settings for this provider. Each field replaces that of the global `egress`."""


def _expand_provider(value: object) -> object:
    if value is None:
        return {}
    return {"keys": {"default": {"value": value}}} if isinstance(value, str) else value


class ProviderEntrySettings(Section):
    """The rights of a virtual key at one provider."""

    weight: Weight | None = None
    """The share of the key's requests that go to this provider. If one entry of a key sets a weight, the key chooses
    its providers by weight."""
    allow_models: list[Pattern] = []
    """Shell-style patterns of the provider's model names that the key may use. Default: all."""
    keys: Annotated[list[Name], Field(min_length=1, max_length=64)] | None = None
    """The names of the provider's keys that requests of this virtual key may use. Default: all."""
    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Limits of the money that the key may spend at this provider."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Limits of the attempts and tokens of the key at this provider."""


def _expand_entries(value: object) -> object:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return {name: {} if entry is None else entry for name, entry in value.items()} if isinstance(value, dict) else value


def _read_moment(value: object) -> object:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


Labels = dict[Name, Text]
NearLimit = Literal["refuse", "shorten"]


class OwnerSettings(Section):
    """The limits and labels of a customer, a team or a virtual key."""

    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Limits of the money that this owner may spend: a customer, a team or a virtual key."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Limits of the requests and tokens that this owner may use: a customer, a team or a virtual key."""
    labels: Labels = {}
    """Labels for reports, such as `cost_center: a7`. Each request's record has the labels of its key, team and
    customer. For equal names, the key's label comes first, then the team's."""
    require: RequireField = {}
    """Requirements for the requests of this owner, in addition to all others, as in the top-level `require`."""


class CustomerSettings(OwnerSettings):
    """A customer, to which teams and virtual keys may belong."""


class TeamSettings(OwnerSettings):
    """A team, to which virtual keys may belong."""

    customer: Name | None = None
    """The customer that the team belongs to."""


class ChildKeySettings(Section):
    """The right of a virtual key to make child keys."""

    at_most: Annotated[int, Field(ge=1, le=1000)] = 100
    """The most child keys of this key that are valid at the same time."""
    longest_s: Annotated[float, Field(ge=1, le=366 * 86_400)] = 86_400.0
    """The longest time that a child key may be valid, in seconds."""


class KeyRights(OwnerSettings):
    """The rights and limits of a virtual key."""

    networks: Annotated[list[Text], Field(alias="from", max_length=64)] = []
    """The networks that clients of this key must be in, such as `10.1.0.0/16` or `192.0.2.7`. The address is the one in
    the log, see `server.trusted_proxies`. Default: all."""
    child_keys: ChildKeySettings | None = None
    """The right to make short-lived child keys by `POST /v1/keys`. Default: none."""
    allow_models: list[Pattern] = []
    """Shell-style patterns of the model names that the key may request, in `model` and in `fallbacks`. Default: all."""
    providers: Annotated[
        dict[Name, ProviderEntrySettings],
        BeforeValidator(_expand_entries, json_schema_input_type=list[str] | dict[str, ProviderEntrySettings | None]),
    ] = {}
    """The providers that the key may use: a list of names, or a mapping of names to rights. Default: all."""
    strategy: StrategyField | None = None
    """The strategy that chooses the key's targets. Default: that of the public name, else `routing.strategy`."""
    provider_tools: Annotated[list[Text], Field(max_length=64)] | None = None
    """The tools that a provider may run for requests of this key, such as `web_search`, `code_interpreter` or `mcp`.
    `mcp:HOST` allows one MCP server. `remote_urls` allows addresses of images, files and other content that the
    provider fetches, and `batches` allows batches, which a provider stores and carries out later. Default:
    all if no requirement applies to the request, and otherwise none."""
    near_limit: NearLimit | None = None
    """The treatment of requests near a limit, as in `governance.near_limit`. Default: `governance.near_limit`."""
    end_users: Literal["ignored", "trusted"] = "ignored"
    """The treatment of the end users that clients of this key name. `trusted` counts requests in the limits of
    `governance.defaults` for each end user. With `ignored` these limits do not apply, and the names have no effect."""


class VirtualKeySettings(KeyRights):
    """A key that clients present to the gateway."""

    value: Annotated[str, Field(max_length=4096)]
    """The key, as `env.NAME`, `file:PATH`, or `sha256:` with its SHA-256 in hexadecimal."""
    previous_value: Annotated[str | None, Field(max_length=4096)] = None
    """The previous value of the key, in the same form. It stays valid while clients change to the new value, with the
    same name, rights, limits and spending. Remove it to reject the old value."""
    team: Name | None = None
    """The team that the key belongs to."""
    template: Name | None = None
    """The template in `governance.access_templates` that the key has its rights and limits from. Fields of the key
    itself replace those of the template."""
    customer: Name | None = None
    """The customer that the key belongs to. A key with a team belongs to the team's customer."""
    expires_at: Annotated[datetime | None, BeforeValidator(_read_moment, json_schema_input_type=str | None)] = None
    """The time from which the key is rejected, with an offset from UTC, such as `2027-01-01T00:00:00Z`. Default:
    never."""


class AccessTemplateSettings(KeyRights):
    """The rights and limits of keys that the members of a team make for themselves. A change of the template counts for
    all keys that were made from it."""

    team: Name
    """The team whose members may make keys. Their keys belong to it."""
    at_most: Annotated[int, Field(ge=1, le=1000)] = 3
    """The most keys of one member from this template."""
    longest_s: Annotated[float, Field(ge=60, le=100 * 366 * 86_400)] | None = None
    """The longest time that a key may be valid, in seconds. Default: no limit."""


class IdentitySettings(KeyRights):
    """Callers who prove an identity instead of a virtual key: one of `jwt` and `client_certificate`. All of them
    together are limited like one virtual key, and `each_caller` limits each of them."""

    jwt: JwtSettings | None = None
    """Tokens that these callers present in place of a virtual key."""
    client_certificate: ClientCertificateSettings | None = None
    """Certificates that these callers present when they connect. They send no virtual key."""
    when: Annotated[str, Field(min_length=1, max_length=4096)]
    """The condition that a caller must meet, in CEL over `claims`, such as `claims.repository_owner == "acme"`. A
    missing claim makes it false. `true` admits every caller with a valid token or certificate."""
    team: Name | None = None
    """The team that the callers belong to."""
    customer: Name | None = None
    """The customer that the callers belong to. Callers with a team belong to the team's customer."""
    claims: ClaimSettings = ClaimSettings()
    """The claims that set properties of a caller."""
    each_caller: EachCallerSettings = EachCallerSettings()
    """The limits of each caller."""


class DefaultSettings(Section):
    """Limits for each owner of a kind, without an entry for each."""

    each: Literal["virtual_key", "team", "customer", "end_user"]
    """The owners that each get these limits. An `end_user` is a user that an application with a virtual key names."""
    team: Name | None = None
    """Only virtual keys of this team, or their end users. Default: all."""
    customer: Name | None = None
    """Only virtual keys and teams of this customer, or their end users. Default: all."""
    labels: Labels = {}
    """Only owners with all of these labels, their own or inherited; for end users, those of the virtual key."""
    end_user_from: Annotated[str, StringConstraints(pattern=r"^(user|header:[A-Za-z0-9-]{1,64})$")] = "user"
    """The part of a request that names its end user. `user` is the field of the client's dialect: `user` or
    `safety_identifier`, or `metadata.user_id` in Anthropic's. `header:NAME` is a header."""
    at_most: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most end users with a limit of their own in a window, in each worker. All further ones share one."""
    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Limits of the money that each of these owners may spend."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Limits of the requests and tokens that each of these owners may use."""


Limited = (
    ProviderSettings | ProviderEntrySettings | OwnerSettings | DefaultSettings | MirrorSettings | EachCallerSettings
)


class GovernanceSettings(Section):
    """Virtual keys, teams and customers, with their limits."""

    require_key: bool = True
    """If true, each request must present a virtual key. `false` requires a loopback address in `server.listen`."""
    customers: dict[Name, CustomerSettings] = {}
    """Customers by name."""
    teams: dict[Name, TeamSettings] = {}
    """Teams by name."""
    virtual_keys: dict[
        Name,
        Annotated[VirtualKeySettings, BeforeValidator(_expand_key, json_schema_input_type=str | VirtualKeySettings)],
    ] = {}
    """Virtual keys by name. `name: env.NAME` is short for `name: {value: env.NAME}`."""
    access_templates: dict[Name, AccessTemplateSettings] = {}
    """Templates of keys that members of teams make for themselves, by name."""
    identities: Annotated[dict[Name, IdentitySettings], Field(max_length=100)] = {}
    """Callers who prove an identity instead of a virtual key, by name. They are tried in this order: the first one
    whose condition is true applies."""
    keys_file: Text | None = None
    """A file of further virtual keys, for thousands of keys. Each line is a JSON object: `{"name": …, "value":
    "sha256:…", …}`, with the fields of `virtual_keys`. The gateway looks up a key when it is used."""
    defaults: Annotated[list[DefaultSettings], Field(max_length=1000)] = []
    """Limits for each virtual key, team, customer or end user. An owner's own limit of the same metric and period
    replaces a default one. If several entries set such a limit, the first one applies."""
    near_limit: NearLimit = "refuse"
    """The treatment of a request whose budgets and token limits have room only for a shorter answer. `refuse` rejects
    it. `shorten` lowers its `max_tokens` to the remaining room, at least 16, and reports the value in the header
    `x-pointsman-max-tokens`."""
    key_headers: Annotated[list[HeaderName], Field(min_length=1, max_length=8)] = DEFAULT_KEY_HEADERS
    """The request headers that may contain a virtual key, in order of precedence. `authorization` contains it after
    `Bearer`."""
    max_stale_s: Seconds = 900.0
    """The longest time that a worker uses its configuration while it cannot reach the control process, in seconds. It
    then rejects requests."""


class CatalogSettings(Section):
    """Settings of the model catalog."""

    overlay: Text | None = None
    """A file with changes of the catalog: new models, prices, limits, capabilities and retirements. A relative path
    starts at the configuration file. Default: `overlay.yaml` in the folder `catalog` of `data_dir`, if it exists."""
    list_models_s: Annotated[float, Field(ge=60, le=7 * 86_400)] | None = None
    """The interval at which the gateway requests each provider's list of models, in seconds. New models are then known
    without a new catalog. Default: never."""


class StoreSettings(Section):
    """The database of spending and requests."""

    url: Annotated[str, Field(max_length=4096)] | None = None
    """The address of the database, `postgresql://…`. If it has a password, use `env.NAME` or `file:PATH`. Default:
    SQLite in `data_dir`."""
    keep_requests_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    """The time that single requests are kept, in days. Spending is kept for ever."""
    keep_requests_bytes: Annotated[int, Field(ge=16 * MIB, le=1024 * 1024 * 1024 * MIB)] | None = None
    """The most space for single requests, in bytes, if there should be a bound: the oldest are then deleted earlier.
    The space is estimated from the lengths of their records."""
    keep_minutes_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    """The time that sums over requests by minute are kept, in days. Those by hour and day are kept for ever."""


class JournalSettings(Section):
    """The workers' records of attempts, until the store has them."""

    durability: Literal["process", "power"] = "process"
    """The kind of failure that loses no records. `process` protects them from a crash of the processes. `power` also
    protects them from a loss of power, except those of the last tenth of a second."""
    max_bytes: Annotated[int, Field(ge=64 * MIB, le=1024 * 1024 * MIB)] = 8 * 1024 * MIB
    """The most journal that each worker keeps while the store is unavailable, in bytes. If it is full, requests under a
    limit are rejected."""


class LoggingSettings(Section):
    """The log: one JSON line for each request, and the gateway's own messages."""

    file: Text | None = None
    """The log file. Default: standard output."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest severity of the gateway's own messages that are logged."""
    facts: list[Text] = []
    """Facts that are stored with each request, such as `headers.x-tier` or `params.temperature`. They are those that
    conditions of rules can read. `pointsman explain --rules` then knows how recent requests would go under new
    rules."""


class Document(Section):
    """A Pointsman configuration file."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"mcp", "cache", "guardrails"})

    version: Literal[1] = 1
    """The version of this format."""
    server: ServerSettings = ServerSettings()
    """The address and the limits for clients."""
    console: ConsoleSettings = ConsoleSettings()
    """The address for operators."""
    data_dir: Text = "./data"
    """The folder of the gateway's data: store, journal and snapshot. A relative path starts at the configuration file.
    A gateway without a configuration file uses `~/.local/state/pointsman`."""
    egress: GlobalEgressSettings = GlobalEgressSettings()
    """The network settings for calls to providers."""
    master_key: Annotated[str, Field(pattern=r"^file:.", max_length=4096)] | None = None
    """The key that seals secrets given by API, as `file:PATH`. Each line of the file is a key of at least 32
    characters: the first one seals, and all of them open. The environment variable `POINTSMAN_MASTER_KEY` replaces it.
    Default: the gateway makes a key in `data_dir` at first need, so that a copy of that folder reveals the secrets."""
    providers: dict[
        Name,
        Annotated[
            ProviderSettings, BeforeValidator(_expand_provider, json_schema_input_type=str | ProviderSettings | None)
        ],
    ] = {}
    """Providers by name. They may also be made by API. `openai: env.OPENAI_API_KEY` is short for a known provider with
    one key."""
    models: dict[
        ModelName,
        Annotated[
            ModelSettings,
            BeforeValidator(expand_model, json_schema_input_type=str | list[str | TargetSettings] | ModelSettings),
        ],
    ] = {}
    """Public model names. A list is short for targets in order of priority."""
    routing: RoutingSettings = RoutingSettings()
    """The routing defaults of all requests."""
    require: RequireField = {}
    """Requirements that hold for every request, by the name of a tag. A list allows each of its values, and a text is a
    list of one: `{region: [eu]}`. `{certifications: {all: [hipaa, soc2]}}` requires all values. A provider key that
    does not meet every requirement is never used."""
    governance: GovernanceSettings = GovernanceSettings()
    """Virtual keys, teams and customers, with their limits."""
    pricing: PricingSettings = PricingSettings()
    """The prices of models."""
    catalog: CatalogSettings = CatalogSettings()
    """Settings of the model catalog."""
    store: StoreSettings = StoreSettings()
    """The database of spending and requests."""
    journal: JournalSettings = JournalSettings()
    """The workers' records of attempts, until the store has them."""
    logging: LoggingSettings = LoggingSettings()
    """The log."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Traces, and the export to an OpenTelemetry collector."""
    bodies: BodySettings = BodySettings()
    """The bodies of requests and answers that are kept. Default: none."""
    redaction: RedactionSettings = RedactionSettings()
    """The data that is masked in each record before it leaves the gateway."""
    sinks: Annotated[dict[Name, SinkSettings], Field(max_length=32)] = {}
    """Further places for the records of requests, by name: files, receivers of webhooks, and stores of objects."""
    alerts: AlertsSettings | None = None
    """Alerts, and the channels that get their messages. Default: none. `{}` evaluates the default rules."""
