"""The settings of alerts for the admin process, which evaluates them and has no configuration of its own."""

import asyncio
from heapq import nsmallest

from pointsman.catalog.reader import ModelCatalog
from pointsman.config.addresses import parse_base_url
from pointsman.config.key_table import FileKeys
from pointsman.config.settings import ChannelTarget
from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.alerts import AlertSettings, ChannelRecipient, ExpiringKey
from pointsman.control.recipients import recipient_fields
from pointsman.domain.identity import VirtualKey

MOST_KEYS = 5000  # that expire: those that expire first
AT_ONCE = 200  # policies or keys that are read before the event loop serves the workers again


async def alert_settings(compiled: Compiled) -> AlertSettings:
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
        keys=await _expiring(compiled),
    )


def _recipient(target: ChannelTarget) -> ChannelRecipient:
    fields = recipient_fields(target)
    if target.address is not None:
        fields["path"] = parse_base_url(target.address.reveal())[1]
    secrets = tuple(secret.reveal() for secret in target.secrets)
    return ChannelRecipient(**fields, secrets=secrets, name=target.name, type=target.type)


async def _expiring(compiled: Compiled) -> list[ExpiringKey]:
    """Return the keys of the configuration file and of its file of keys that expire. Those that are made by API are in
    the store."""
    table = compiled.snapshot.virtual_keys
    own = table.own if isinstance(table, FileKeys) else table
    found = {key.name: _of(key.name, key) for key in own.values() if key.expires_at is not None}
    if isinstance(table, FileKeys) and table.directory is not None:
        directory, policies = table.directory, dict[int, VirtualKey]()
        for count, number in enumerate(directory.numbers()):
            if count % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            policy = directory.policy(number)
            if policy.expires_at is not None:
                policies[number] = policy
        for count, (name, number) in enumerate(directory.policies_of() if policies else ()):
            if count % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if number in policies:
                found[name] = _of(name, policies[number])
    return nsmallest(MOST_KEYS, found.values(), key=lambda one: one.expires_at)


def _of(name: str, key: VirtualKey) -> ExpiringKey:
    assert key.expires_at is not None
    return ExpiringKey(name, key.team or "", key.customer or "", key.expires_at)
