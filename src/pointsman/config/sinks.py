"""Compiles `redaction` and `sinks`."""

from pathlib import Path
from time import time

from pointsman.config.conditions import located
from pointsman.config.problems import Findings
from pointsman.config.references import BadReference, References
from pointsman.config.requirements import compile_tags
from pointsman.config.schema import Document
from pointsman.config.servers import GUARDED, compile_server
from pointsman.config.settings import Filter, LogSink
from pointsman.config.sinks_schema import (
    FileSinkSettings,
    S3SinkSettings,
    SinkFields,
    SinkFilter,
    StdoutSinkSettings,
    WebhookSinkSettings,
)
from pointsman.config.source import Location
from pointsman.config.telemetry_schema import OtlpSettings
from pointsman.config.webhooks import compile_webhook
from pointsman.domain.bodies import BodyCapture, BodyScope, Redaction
from pointsman.routing.conditions.references import ConditionError

_OF_RECORDS = {
    "virtual_keys": "virtual_key",
    "teams": "team",
    "customers": "customer",
    "models": "model",
    "providers": "provider",
}


def compile_redaction(document: Document, findings: Findings) -> Redaction:
    """Return the settings of redaction. Patterns that cannot be used are among the findings."""
    settings = document.redaction
    if settings.patterns:
        from pointsman.telemetry.masking import compiled  # noqa: PLC0415 -- few configurations need its library

        for name, pattern in settings.patterns.items():
            try:
                compiled(pattern)
            except ValueError as error:
                findings.error(("redaction", "patterns", name), f"is no pattern of RE2: {error}")
    return Redaction(
        kinds=tuple(dict.fromkeys(settings.kinds)),
        patterns=tuple(settings.patterns.items()),
        fields=tuple(settings.fields),
    )


def compile_bodies(document: Document, redaction: Redaction, findings: Findings) -> BodyCapture | None:
    """Return the requests whose bodies are kept, or `None` if there are none."""
    settings = document.bodies
    known = {rule.name for rule in document.routing.rules}
    for at, name in enumerate(settings.rules):
        if name not in known:
            findings.error(("bodies", "rules", at), "unknown rule; set the name of one in `routing.rules`")
    known = set(document.governance.virtual_keys)
    for at, name in enumerate(settings.virtual_keys):
        if name not in known and document.governance.keys_file is None:
            findings.error(("bodies", "virtual_keys", at), "unknown virtual key; set one of `governance.virtual_keys`")
    scopes = [_scope(one.only) for one in document.sinks.values() if one.bodies == "keep"]
    if settings.virtual_keys:
        scopes.append(BodyScope(virtual_keys=frozenset(settings.virtual_keys)))
    if settings.all:
        scopes.append(BodyScope())
    if not (scopes or settings.rules):
        return None
    return BodyCapture(
        scopes=tuple(scopes),
        rules=frozenset(settings.rules),
        max_bytes=settings.max_bytes,
        redaction=redaction,
    )


def _scope(chosen: SinkFilter) -> BodyScope:
    return BodyScope(
        virtual_keys=frozenset(chosen.virtual_keys),
        teams=frozenset(chosen.teams),
        customers=frozenset(chosen.customers),
    )


def compile_sinks(document: Document, references: References, findings: Findings) -> tuple[LogSink, ...]:
    """Return the sinks. Those with an error among the findings may be left out."""
    found: list[LogSink] = []
    paths: dict[str, str] = {}
    for name, settings in document.sinks.items():
        place: Location = ("sinks", name)
        one = _compile(name, settings, document, references, findings)
        if one is None:
            continue
        if one.type == "file" and paths.setdefault(one.path, name) != name:
            findings.error((*place, "path"), f"is the file of the sink {paths[one.path]}; set another one")
        _check_condition(settings.only.when, (*place, "only", "when"), findings)
        _warn_withheld(document, settings, place, findings)
        found.append(one)
    if document.telemetry.otlp is not None:
        _warn_withheld(document, document.telemetry.otlp, ("telemetry", "otlp"), findings)
    return tuple(found)


def _compile(
    name: str, settings: SinkFields, document: Document, references: References, findings: Findings
) -> LogSink | None:
    place: Location = ("sinks", name)
    tags = compile_tags(settings.tags, (*place, "tags"), findings, time())
    chosen = _filter(settings.only)
    if isinstance(settings, FileSinkSettings):
        path = Path(references.path(settings.path))
        if not path.parent.is_dir():
            findings.error((*place, "path"), f"the folder {path.parent} does not exist; create it")
        return LogSink(
            name=name,
            type=settings.type,
            filter=chosen,
            tags=tags,
            path=str(path),
            max_bytes=settings.max_bytes,
            keep=settings.keep,
            has_bodies=bool(settings.bodies),
        )
    if isinstance(settings, WebhookSinkSettings):
        target = compile_webhook(settings, document.egress, place, references, findings)
        if target is None:
            return None
        return LogSink(
            name=name,
            type=settings.type,
            filter=chosen,
            tags=tags,
            server=target,
            secrets=target.secrets,
            has_bodies=bool(settings.bodies),
        )
    if isinstance(settings, S3SinkSettings):
        return _object_store(name, settings, document, references, findings)
    assert isinstance(settings, StdoutSinkSettings)
    return LogSink(name=name, type=settings.type, filter=chosen, tags=tags, has_bodies=bool(settings.bodies))


def _object_store(
    name: str, settings: S3SinkSettings, document: Document, references: References, findings: Findings
) -> LogSink | None:
    place: Location = ("sinks", name)
    address = ("url", settings.url or f"https://s3.{settings.region}.amazonaws.com")
    server = compile_server(settings, document.egress, place, references, findings, base=GUARDED, address=address)
    try:
        secret = references.resolve(settings.secret_access_key)
    except BadReference as error:
        findings.error((*place, "secret_access_key"), str(error))
        return None
    if server is None:
        return None
    return LogSink(
        name=name,
        type=settings.type,
        filter=_filter(settings.only),
        tags=compile_tags(settings.tags, (*place, "tags"), findings, time()),
        server=server,
        secrets=(secret,),
        key_id=settings.access_key_id,
        region=settings.region,
        path=f"/{settings.bucket}/{settings.prefix}",
        batch_s=settings.batch_s,
        has_bodies=bool(settings.bodies),
    )


def _filter(settings: SinkFilter) -> Filter:
    fields = tuple((field, tuple(values)) for name, field in _OF_RECORDS.items() if (values := getattr(settings, name)))
    return Filter(fields=fields, min_status=settings.min_status, share=settings.share, when=settings.when.strip())


def _check_condition(source: str, place: Location, findings: Findings) -> None:
    if not source.strip():
        return
    from pointsman.config.record_conditions import RecordCondition  # noqa: PLC0415 -- CEL takes 20 MB

    try:
        RecordCondition(source.strip())
    except ConditionError as error:
        findings.error(place, located(error, source))


def _warn_withheld(
    document: Document, settings: SinkFields | OtlpSettings, place: Location, findings: Findings
) -> None:
    """Warn of a place that gets no record at all, because it lacks a tag that every request requires."""
    missing = sorted(set(document.require) - set(settings.tags))
    if missing:
        message = f"gets no records, since every request requires {', '.join(missing)}, and it has no such tag"
        findings.warning(place, f"{message}; set `tags`")
