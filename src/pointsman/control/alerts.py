"""The settings of alerts for the admin process, which evaluates them and has no configuration of its own."""

from pointsman.catalog.reader import ModelCatalog
from pointsman.config.addresses import parse_base_url
from pointsman.config.key_table import FileKeys
from pointsman.config.settings import ChannelTarget
from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.alerts import AlertSettings, ChannelRecipient, ExpiringKey
from pointsman.control.recipients import recipient_fields


def alert_settings(compiled: Compiled) -> AlertSettings:
    """Return the settings with their secrets. Without alerts they are empty."""
    alerts = compiled.telemetry.alerts
    if alerts is None:
        return AlertSettings(digest=compiled.snapshot.digest)
    catalog = compiled.snapshot.pricing.catalog
    return AlertSettings(
        digest=compiled.snapshot.digest,
        rules=list(alerts.rules),
        channels=[_recipient(one) for one in alerts.channels],
        keep_days=alerts.keep_days,
        catalog_date=catalog.date if isinstance(catalog, ModelCatalog) else "",
        keys=_expiring(compiled),
    )


def _recipient(target: ChannelTarget) -> ChannelRecipient:
    fields = recipient_fields(target)
    if target.address is not None:
        fields["path"] = parse_base_url(target.address.reveal())[1]
    secrets = tuple(secret.reveal() for secret in target.secrets)
    return ChannelRecipient(**fields, secrets=secrets, name=target.name, type=target.type)


def _expiring(compiled: Compiled) -> list[ExpiringKey]:
    """Return the keys of the configuration file that expire; those of a file of keys may be very many."""
    table = compiled.snapshot.virtual_keys
    keys = table.own if isinstance(table, FileKeys) else table
    found = {
        key.name: ExpiringKey(key.name, key.team or "", key.customer or "", key.expires_at)
        for key in keys.values()
        if key.expires_at is not None
    }
    return list(found.values())
