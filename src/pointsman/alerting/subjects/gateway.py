"""The gateway as a whole."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import AlertSubject


class GatewayFacts(Struct, frozen=True, kw_only=True):
    """The facts of the gateway."""

    control_is_up: Annotated[bool, Meta(description="True if the control process answers.")]
    store_is_up: Annotated[bool | None, Meta(description="True if the store is available.")] = None
    config_is_rejected: Annotated[
        bool | None, Meta(description="True if the configuration on disk was rejected, and an older one is in force.")
    ] = None
    ingestion_lag_s: Annotated[
        float | None, Meta(description="Seconds since all journals were last ingested to their end.")
    ] = None
    backlog_bytes: Annotated[int | None, Meta(description="Bytes of journal not yet ingested.")] = None
    damaged_places: Annotated[int | None, Meta(description="Damaged places found in journals since the start.")] = None
    quarantined_records: Annotated[int | None, Meta(description="Records that the store rejected.")] = None
    workers: Annotated[int | None, Meta(description="Workers connected to control.")] = None
    suspecting_workers: Annotated[
        int | None, Meta(description="Workers that suspect themselves, since most providers failed together.")
    ] = None
    catalog_age_days: Annotated[float | None, Meta(description="The age of the model catalog in days.")] = None
    requests: Annotated[int | None, Meta(description="Requests that have ended in the last `over_s`.")] = None
    requests_per_s: Annotated[float | None, Meta(description="The same for each second.")] = None
    error_rate: Annotated[
        float | None, Meta(description="The share of them, from 0 to 1, that ended with a status of 500 or more.")
    ] = None
    requests_in_progress: Annotated[int | None, Meta(description="Requests in progress.")] = None
    duration_p50_s: Annotated[float | None, Meta(description="The median of their seconds to the end.")] = None
    duration_p95_s: Annotated[float | None, Meta(description="The 95th percentile of the same.")] = None
    duration_p99_s: Annotated[float | None, Meta(description="The 99th percentile of the same.")] = None
    own_p99_s: Annotated[
        float | None, Meta(description="The 99th percentile of the seconds that the gateway itself took.")
    ] = None
    tokens_per_s: Annotated[float | None, Meta(description="Tokens of attempts for each second.")] = None
    usd_per_h: Annotated[float | None, Meta(description="Cost of attempts in US dollars for each hour.")] = None


SUBJECT = AlertSubject(facts=GatewayFacts, needs_pages=True)
