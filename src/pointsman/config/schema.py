"""The configuration file as types. The JSON Schema and the reference page are generated from here.

Every class lists, in `PLANNED`, fields that the configuration contract has but this version does not act on. They are
rejected with a message of their own, since a field without effect would mislead.
"""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pointsman.config.routing_schema import ModelSettings, RoutingSettings, TargetSettings, expand_model
from pointsman.config.sections import MIB, Bytes, HeaderName, ModelName, Name, Pattern, Seconds, Section, Text, Weight
from pointsman.config.strategies import StatedStrategy
from pointsman.domain.snapshots import KEY_HEADERS


def _exact(value: object) -> object:
    """Return a number as it was written: through text, never through the binary fraction that YAML read."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return value


_Exact = Annotated[Decimal, BeforeValidator(_exact, json_schema_input_type=float | str)]
Usd = Annotated[_Exact, Field(gt=0, le=1_000_000_000, decimal_places=9)]
UsdPerUse = Annotated[_Exact, Field(ge=0, le=1_000_000, decimal_places=9)]
UsdPerMillion = Annotated[_Exact, Field(ge=0, le=1_000_000, decimal_places=6)]


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
    """Silence while a body is being read. After as long, a body must also come at 1,000 bytes a second on average."""
    idle_s: Seconds = 75.0
    """Between two requests on a kept-alive connection."""
    write_s: Seconds = 60.0
    """Without reading while output is waiting."""


class LimitSettings(Section):
    """Bounds for one client, and for all of them together."""

    body_bytes: Bytes = 50 * MIB
    """The largest request body."""
    head_bytes: Annotated[int, Field(ge=1024, le=MIB)] = 64 * 1024
    """The largest request head."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Client connections at the same time."""
    body_memory_bytes: Bytes = 1024 * MIB
    """Memory held in request bodies, over all connections."""
    timeouts: LimitTimeouts = LimitTimeouts()
    """How long a client may take."""


class CorsSettings(Section):
    """Web pages that may call the gateway from a browser."""

    origins: Annotated[list[Text], Field(max_length=1000)] = []
    """Their origins, such as `https://app.example.com`; `*` stands for all."""


class ServerSettings(Section):
    """The address clients use."""

    listen: Text = "127.0.0.1:8080"
    """`host:port`; `:8080` listens on every address, `[::1]:8080` on an IPv6 one."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Worker processes. One serves several thousand requests a second; more take as many cores."""
    tls: TlsSettings | None = None
    """Serve HTTPS. Plain HTTP without it."""
    limits: LimitSettings = LimitSettings()
    """Bounds on what clients may send and hold."""
    drain_s: Seconds = 30.0
    """How long requests in progress may go on after SIGTERM, in seconds."""
    default_provider: Name | None = None
    """The provider that gets requests which name neither a model nor anything that is known to be kept somewhere, such
    as an upload to `/v1/files`. Absent: such a request names its provider in the header `x-pointsman-provider`, unless
    only one provider can serve it."""
    trusted_proxies: Annotated[list[Text], Field(max_length=1000)] = []
    """Addresses or networks of reverse proxies, such as `10.0.0.0/8`: the client's address is then the right-most in
    `X-Forwarded-For` that is none of these. It is written to the log, and wrong keys are counted by it."""
    allowed_hosts: Annotated[list[Text], Field(max_length=1000)] = []
    """Names by which the gateway may be called, beside `localhost` and the addresses of loopback. Without keys
    (`governance.require_key: false`) no other name is served, so that no web page can use the gateway by a name of its
    own; with keys any name is, unless some are listed here."""
    limit_headers: bool = False
    """Tell virtual keys with limits what is left of them: answers carry OpenAI's `x-ratelimit-*`, and
    `x-pointsman-budget-remaining-usd`."""
    cors: CorsSettings = CorsSettings()
    """Web pages that may call the gateway from a browser. Without keys no other page may."""


class ConsoleSettings(Section):
    """The operator's address, kept apart from the clients' one. Serves metrics."""

    listen: Text = "127.0.0.1:8081"
    """`host:port`."""
    allowed_hosts: Annotated[list[Text], Field(max_length=1000)] = []
    """Names by which the console may be called, beside its own address and those of loopback: that of a reverse proxy
    which passes on the client's `Host`."""


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
    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Connections that each worker may have to one address of a provider. Requests beyond it use another candidate, or
    wait. Absent: as many as there are open files for."""


class HoursSettings(Section):
    """A window of several hours, counted from 1970-01-01T00:00Z."""

    hours: Annotated[int, Field(ge=1, le=8784)]
    """How many."""


Per = Literal["minute", "hour", "day", "week", "month", "quarter", "year"] | HoursSettings


class BudgetSettings(Section):
    """Money that may be spent in each window of time."""

    limit_usd: Usd
    """Dollars, exact to nine decimals."""
    per: Per
    """The window: a calendar unit, or `{hours: 6}`. Weeks begin on Monday."""
    zone: Text | None = None
    """The time zone, such as `Europe/Berlin`, whose midnight begins days and longer windows. Absent: UTC."""
    soft: bool = False
    """Only count and report, never refuse."""


class RateLimitSettings(Section):
    """Requests or tokens that may be used in each window of time: exactly one of the two."""

    requests: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Requests, however many attempts they take; attempts, where a provider is limited."""
    tokens: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """Tokens, of prompt and answer together."""
    per: Per
    """The window: a calendar unit, or `{hours: 6}`."""
    zone: Text | None = None
    """The time zone whose midnight begins days and longer windows. Absent: UTC."""
    soft: bool = False
    """Only count and report, never refuse."""


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

    PLANNED: ClassVar[frozenset[str]] = frozenset({"pricing"})

    type: Name | None = None
    """The provider record to use. Absent: that of the provider's own name."""
    base_url: Text | None = None
    """The address up to the path of the API's version, such as `http://127.0.0.1:8000/v1`."""
    keys: dict[
        Name, Annotated[KeySettings, BeforeValidator(_expand_key, json_schema_input_type=str | KeySettings)]
    ] = {}
    """API keys by name; `name: env.NAME` is short for `name: {value: env.NAME}`."""
    serves: list[Pattern] = []
    """Shell-style patterns of bare model names that may be resolved to this provider. Absent: what the catalog knows
    it to serve."""
    catalog: Annotated[str, Field(max_length=64)] | None = None
    """The catalog's provider whose models and prices it has; `""` for none. Absent: that at its address, else its
    type."""
    tags: dict[Name, Text | list[Text]] = {}
    """Facts about the provider, such as `region: eu`."""
    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Money that may be spent at this provider."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Attempts and tokens that this provider may be asked for."""
    bills_unfinished: Literal["full", "prompt", "none"] | None = None
    """The charge for an answer of which nothing arrived, because the client left, time ran out or the connection broke:
    `full`, as if it had come to its end, so that limits hold all that was reserved; only the
    `prompt`, where it stops working at once; or `none`. Absent: `prompt` for streams, `full` for everything else. What
    arrived of a stream is charged in any case."""
    output_bound: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The field this provider reads the most tokens of a chat's answer from: it is put in where a limit needs a bound
    and the client states none. With `max_tokens`, what clients state as `max_completion_tokens` is sent in it too.
    Absent: what is known of the type; for `openai-compatible`, `max_tokens` is put in, or `max_completion_tokens` where
    `catalog` is `openai` or `azure`, and what clients state is sent as it is."""
    egress: EgressSettings | None = None
    """Overrides fields of the global `egress` for this provider."""


def _expand_provider(value: object) -> object:
    if value is None:
        return {}
    return {"keys": {"default": {"value": value}}} if isinstance(value, str) else value


class ProviderEntrySettings(Section):
    """The rights of a virtual key at one provider."""

    weight: Weight | None = None
    """Share of the key's requests. Where an entry of a key has one, the key chooses between its providers by weight."""
    allow_models: list[Pattern] = []
    """Shell-style patterns of the provider's model names. All, when absent."""
    keys: Annotated[list[Name], Field(min_length=1, max_length=64)] | None = None
    """The provider's keys that its requests may be sent with, by name. All, when absent."""
    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Money the key may spend at this provider."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Attempts and tokens the key may use at this provider."""


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
    """Limits of a customer or a team."""

    budgets: Annotated[list[BudgetSettings], Field(max_length=16)] = []
    """Money that all its keys may spend together."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = []
    """Requests and tokens that all its keys may use together."""
    labels: Labels = {}
    """Facts about it, for reports: they are in the records of its requests. A key has those of its customer and its
    team too; of two with one name, the key's own holds, then the team's."""


class CustomerSettings(OwnerSettings):
    """Whom teams and keys belong to."""


class TeamSettings(OwnerSettings):
    """A group of keys."""

    customer: Name | None = None
    """The customer it belongs to."""


class VirtualKeySettings(OwnerSettings):
    """A key that clients of the gateway present."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"require"})

    value: Annotated[str, Field(max_length=4096)]
    """`env.NAME`, `file:PATH`, or `sha256:` and the digest of the key in hexadecimal."""
    previous_value: Annotated[str | None, Field(max_length=4096)] = None
    """The value it had before, in the same form: accepted as well while clients move to the new one. Name, rights,
    limits and what was spent are the same for both. Remove it when the old value must no longer work."""
    team: Name | None = None
    """The team it belongs to."""
    customer: Name | None = None
    """The customer it belongs to, where it has no team."""
    expires_at: Annotated[datetime | None, BeforeValidator(_read_moment, json_schema_input_type=str | None)] = None
    """From when on it is refused, such as `2027-01-01T00:00:00Z`."""
    allow_models: list[Pattern] = []
    """Shell-style patterns of the model names it may ask for, as `model` or in `fallbacks`. All, when absent."""
    providers: Annotated[
        dict[Name, ProviderEntrySettings],
        BeforeValidator(_expand_entries, json_schema_input_type=list[str] | dict[str, ProviderEntrySettings | None]),
    ] = {}
    """The providers it may use: a list of names, or entries by name. All, when absent."""
    strategy: StatedStrategy | None = None
    """How its targets are chosen. Absent: as the public name or `routing` says."""
    near_limit: NearLimit | None = None
    """As in `governance`. Absent: what is said there."""


Limited = ProviderSettings | ProviderEntrySettings | OwnerSettings


class GovernanceSettings(Section):
    """The users of the gateway, and their limits."""

    require_key: bool = True
    """Require a virtual key of each request. `false` is allowed on a loopback address only."""
    customers: dict[Name, CustomerSettings] = {}
    """Customers by name."""
    teams: dict[Name, TeamSettings] = {}
    """Teams by name."""
    virtual_keys: dict[
        Name,
        Annotated[VirtualKeySettings, BeforeValidator(_expand_key, json_schema_input_type=str | VirtualKeySettings)],
    ] = {}
    """Keys by name; `name: env.NAME` is short for `name: {value: env.NAME}`."""
    keys_file: Text | None = None
    """A file of further keys, one JSON object a line: `{"name": …, "value": "sha256:…", …}` with the fields of
    `virtual_keys`. For thousands of them: they are looked at when they are used."""
    near_limit: NearLimit = "refuse"
    """The fate of a request that fits into its budgets and token limits only with a shorter answer: `refuse`, or
    `shorten` its `max_tokens` to what fits, down to 16, and say so in the header `x-pointsman-max-tokens`."""
    key_headers: Annotated[list[HeaderName], Field(min_length=1, max_length=8)] = list(KEY_HEADERS)
    """Request headers a virtual key is looked for in. `authorization` carries it behind `Bearer`."""
    max_stale_s: Seconds = 900.0
    """How long a worker that cannot reach the control process trusts the configuration it has."""


class PriceSettings(Section):
    """The price of a model that the catalog does not know, or knows wrongly."""

    model: Pattern
    """`provider/model`, or a shell-style pattern of it."""
    virtual_key: Name | None = None
    """Only for this virtual key."""
    team: Name | None = None
    """Only for this team."""
    customer: Name | None = None
    """Only for this customer."""
    input_usd_per_million: UsdPerMillion | None = None
    """Dollars per million tokens of a prompt."""
    output_usd_per_million: UsdPerMillion | None = None
    """Dollars per million tokens of an answer."""
    cached_input_usd_per_million: UsdPerMillion | None = None
    """Of a prompt's tokens read from the provider's cache. Absent: as the others."""
    cache_write_usd_per_million: UsdPerMillion | None = None
    """Of a prompt's tokens written to the provider's cache."""
    audio_input_usd_per_million: UsdPerMillion | None = None
    """Of audio in a prompt."""
    audio_output_usd_per_million: UsdPerMillion | None = None
    """Of audio in an answer."""
    image_input_usd_per_million: UsdPerMillion | None = None
    """Of images in a prompt."""
    image_output_usd_per_million: UsdPerMillion | None = None
    """Of images in an answer."""
    reasoning_usd_per_million: UsdPerMillion | None = None
    """Of reasoning in an answer."""
    per_request_usd: UsdPerUse | None = None
    """For each request, on top. Where it is stated, a budget takes batches and the like at this price; 0 is free."""
    max_output_tokens: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """The most tokens an answer can have: the bound put on requests that state none while a limit applies."""
    context_tokens: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """The most tokens the model can read: what is reserved for a request whose bytes do not bound that, such as one
    that continues a stored conversation."""
    tools_usd: Annotated[dict[Annotated[str, Field(max_length=64)], UsdPerUse], Field(max_length=64)] = {}
    """Dollars for each call of a tool that the provider runs itself, such as `web_search: 0.01`, by the tool's `type`
    in a request, without the date of its version."""


class PricingSettings(Section):
    """Prices."""

    unknown: Literal["allow-and-flag", "deny"] = "allow-and-flag"
    """Allow a model without a known price where no budget applies, or deny it. Under a budget it never may."""
    overrides: list[PriceSettings] = []
    """Prices that outrank the catalog's. The narrowest owner comes first, a name before a pattern."""


class CatalogSettings(Section):
    """Facts about models."""

    list_models_s: Annotated[float, Field(ge=60, le=7 * 86_400)] | None = None
    """How often every provider is asked which models it has, in seconds, so that new ones are known without a new
    catalog. Absent: never, and nothing is sent that no client asked for."""


class StoreSettings(Section):
    """The database of spending."""

    url: Annotated[str, Field(max_length=4096)] | None = None
    """`postgresql://…`, as `env.NAME` or `file:PATH` where it holds a password. Absent: SQLite in `data_dir`."""
    keep_requests_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    """How long single requests are kept. What was spent is kept for ever."""


class JournalSettings(Section):
    """The records of attempts until the store has them."""

    durability: Literal["process", "power"] = "process"
    """`process`: nothing is lost when processes die. `power`: nor, but for the last tenth of a second, when the machine
    does."""
    max_bytes: Annotated[int, Field(ge=64 * MIB, le=1024 * 1024 * MIB)] = 8 * 1024 * MIB
    """How much each worker may keep while the store is away. Beyond it, requests under a limit are refused."""


class LoggingSettings(Section):
    """One JSON line for each request, and the gateway's own messages."""

    file: Text | None = None
    """The file that the lines go to. Absent: standard output."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe of the gateway's own messages that is written."""


class Document(Section):
    """A Pointsman configuration file."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"require", "mcp", "cache", "guardrails"})

    version: Literal[1] = 1
    """The version of this format."""
    server: ServerSettings = ServerSettings()
    """The address clients use."""
    console: ConsoleSettings = ConsoleSettings()
    """The operator's address."""
    data_dir: Text = "./data"
    """The folder for all data that must survive the gateway."""
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
            BeforeValidator(expand_model, json_schema_input_type=str | list[str | TargetSettings] | ModelSettings),
        ],
    ] = {}
    """Public model names; a list is short for targets in order of priority."""
    routing: RoutingSettings = RoutingSettings()
    """How requests are routed."""
    governance: GovernanceSettings = GovernanceSettings()
    """The users of the gateway, and their limits."""
    pricing: PricingSettings = PricingSettings()
    """Prices."""
    catalog: CatalogSettings = CatalogSettings()
    """Facts about models."""
    store: StoreSettings = StoreSettings()
    """The database of spending."""
    journal: JournalSettings = JournalSettings()
    """The records of attempts until the store has them."""
    logging: LoggingSettings = LoggingSettings()
    """The log of requests."""
