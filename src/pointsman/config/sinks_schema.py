"""The part of the configuration file about sinks of the request log, and about redaction."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pointsman.config.compliance_schema import TagsField
from pointsman.config.credentials_schema import Reference
from pointsman.config.egress_schema import EgressSettings
from pointsman.config.sections import MIB, HeaderName, Name, Section, Text
from pointsman.config.webhooks_schema import WebhookSettings

RedactedKind = Literal["secrets", "email", "phone", "card"]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
KeyPrefix = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_.-]+/)*$", max_length=256)]


class RedactionSettings(Section):
    """The data that is masked in bodies, and in each record before it leaves the gateway, by a sink or by the export to
    a collector. A mask names the kind of the data, such as `[email]`. Keys of known forms are masked everywhere."""

    kinds: list[RedactedKind] = ["secrets", "email", "phone", "card"]
    """The kinds of data to mask. `secrets` are keys by their known forms, and long words that look drawn by chance.
    `card` needs a valid check digit."""
    patterns: Annotated[dict[Label, Annotated[str, Field(min_length=1, max_length=1000)]], Field(max_length=50)] = {}
    """Further patterns by name, in the syntax of RE2. The mask has the name in brackets."""
    fields: Annotated[list[Annotated[str, Field(min_length=1, max_length=128)]], Field(max_length=200)] = []
    """Names of fields whose values are masked, such as `password`, in any case of letters."""


class SinkFilter(Section):
    """The requests whose records a sink gets. All fields that are set must match."""

    virtual_keys: list[Name] = []
    """Only requests with one of these virtual keys. Default: all."""
    teams: list[Name] = []
    """Only requests of one of these teams. Default: all."""
    customers: list[Name] = []
    """Only requests of one of these customers. Default: all."""
    models: list[Text] = []
    """Only requests for one of these models, as the client named it. Default: all."""
    providers: list[Name] = []
    """Only requests that one of these providers answered. Default: all."""
    min_status: Annotated[int, Field(ge=100, le=599)] | None = None
    """Only requests that ended with at least this status, and those whose client disconnected. Default: all."""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of the requests, chosen by their ids."""
    when: Annotated[str, Field(max_length=4096)] = ""
    """A condition in CEL about the record, such as `cost_usd > 0.1 && tags["feature"] == "search"`. Default: all."""


class SinkFields(Section):
    """The fields of every sink."""

    only: SinkFilter = SinkFilter()
    """The requests whose records are sent. Default: all."""
    bodies: bool | Literal["keep"] = False
    """If true, each record has the bodies of its request, if they are kept, in the field `bodies`. If `keep`, they are
    kept for this sink: those of the `virtual_keys`, `teams` and `customers` in `only`, or else of all requests."""
    tags: TagsField = {}
    """The compliance tags of the place where the records go. The record of a request with requirements is sent only if
    these tags meet all of them."""


class StdoutSinkSettings(SinkFields):
    """Records as lines of JSON on the standard output."""

    type: Literal["stdout"]
    """The kind of the sink."""


class FileSinkSettings(SinkFields):
    """Records as lines of JSON in a file, which is rotated by size."""

    type: Literal["file"]
    """The kind of the sink."""
    path: Text
    """The file. A relative path starts at the configuration file. Its folder must exist."""
    max_bytes: Annotated[int, Field(ge=MIB, le=1024 * 1024 * MIB)] = 100 * MIB
    """The size at which a new file is begun, in bytes. The former one gets the suffix `.1`."""
    keep: Annotated[int, Field(ge=0, le=1000)] = 5
    """The number of former files that are kept."""


class WebhookSinkSettings(WebhookSettings, SinkFields):
    """Records as signed messages to a receiver of webhooks: `{"type": "requests", "timestamp": …, "data": [record, …]}`
    with up to 256 records."""

    type: Literal["webhook"]
    """The kind of the sink."""


class S3SinkSettings(SinkFields):
    """Records as objects in a store with the API of Amazon S3: lines of JSON, compressed by gzip. Their keys are
    `PREFIX/YYYY/MM/DD/NUMBERS.jsonl.gz`, by the day in UTC on which the first of the records was stored."""

    type: Literal["s3"]
    """The kind of the sink."""
    bucket: Bucket
    """The bucket."""
    region: Region
    """The region of the bucket, such as `eu-central-1`."""
    url: Text | None = None
    """The address of the store, to which the bucket is appended as a path. Default: that of Amazon S3 in the region.
    It must be public, or one that `egress.allow_private` lists."""
    prefix: KeyPrefix = ""
    """The beginning of the key of each object, such as `pointsman/`."""
    access_key_id: Text
    """The id of the access key."""
    secret_access_key: Reference
    """The access key, `env.NAME` or `file:PATH`. It needs the permission to put objects, and no other."""
    batch_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """The longest time that a record waits for others of the same object, in seconds. An object has at most 2,000."""
    headers: Annotated[dict[HeaderName, Reference], Field(max_length=16)] = {}
    """Further headers of each request, by name. Each value is a reference. They are not signed."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    """The longest time of one request to the store, in seconds."""
    egress: EgressSettings | None = None
    """Network settings for this store. Each field replaces that of the global `egress`."""


SinkSettings = Annotated[
    StdoutSinkSettings | FileSinkSettings | WebhookSinkSettings | S3SinkSettings, Field(discriminator="type")
]
