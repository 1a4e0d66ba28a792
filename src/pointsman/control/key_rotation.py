"""Seals the secrets of all resources and users with a new master key, those of older versions too."""

import logging
from collections.abc import Iterable

from msgspec.structs import replace

from pointsman.config.resource import Resource, Spec
from pointsman.config.sealing import SEALED, MasterKeys, SealError, bound, context_of, map_secrets
from pointsman.control.access.secrets import seal_again
from pointsman.control.inquiries.resources import RotationOutcome
from pointsman.control.resource_book import DISTRIBUTE_S, ResourceBook
from pointsman.control.store.database import StoreError
from pointsman.control.store.resources import ConfigVersion, ResourceChange, rewrite_specs
from pointsman.domain.audit import Actor, AuditEvent

_logger = logging.getLogger(__name__)


class _Sealer:
    """Seals with the first of some keys. `lost` are the secrets that no key opens."""

    def __init__(self, keys: MasterKeys) -> None:
        self._keys = keys
        self._again: dict[str, str] = {}  # the new seal of each old one in its place, so that versions stay comparable
        self.lost: list[str] = []

    def spec(self, kind: str, name: str, spec: Spec) -> Spec:
        if kind != "provider" or spec is None:
            return spec

        def again(field: str, text: str) -> str:
            if not text.startswith(SEALED) or self._keys.key_of(text) == self._keys.first:
                return text
            place = bound(text, name, spec, field)
            try:
                if place not in self._again:
                    self._again[place] = self._keys.seal(self._keys.open(place), context_of(name, spec, field))
            except SealError as error:
                self.lost.append(f"provider {name}: {field}: {error}")
                return text
            return self._again[place]

        return map_secrets(spec, again)

    @property
    def sealed(self) -> int:
        """The number of secrets that were sealed again."""
        return len(self._again)

    def resources(self, present: Iterable[Resource]) -> list[Resource]:
        return [replace(one, spec=self.spec(one.kind, one.name, one.spec)) for one in present]

    def version(self, one: ConfigVersion) -> ConfigVersion:
        return replace(one, changes=[self._change(change) for change in one.changes])

    def _change(self, one: ResourceChange) -> ResourceChange:
        kind, name = one.kind, one.name
        return replace(one, before=self.spec(kind, name, one.before), after=self.spec(kind, name, one.after))


async def rotate(book: ResourceBook, author: str, actor: Actor | None = None) -> RotationOutcome:
    """Make a new key, if the gateway keeps its own, and seal all secrets with it. The old key is then forgotten. The
    new one of several keys in the environment or in a file is the first."""
    configuration = book.configuration
    async with configuration.changing():
        keys = configuration.master_keys()
        try:
            number = book.number
            store = book.open_store()
            if keys.is_own:
                keys.add()
            sealer = _Sealer(keys)
            present = sealer.resources(book.present)
            if sealer.lost:
                return RotationOutcome(problem="; ".join(sealer.lost))
            versions = [sealer.version(one) for one in await store.versions(number)]
            checked = await configuration.compile_with(present)
            if checked.compiled is None:
                errors = (str(problem) for problem in checked.problems if problem.severity == "error")
                return RotationOutcome(problem="; ".join(errors))
            async with book.audit.transaction(store, actor or Actor(author)) as change:
                await rewrite_specs(change.connection, present, versions)
                of_users = await seal_again(change.connection, keys)
                change.record(
                    AuditEvent(
                        action="rotate",
                        kind="master_key",
                        note=f"{sealer.sealed + of_users} secrets were sealed again",
                        configuration=checked.compiled.snapshot.digest,
                    )
                )
            await configuration.put_in_force(checked.compiled, DISTRIBUTE_S)
            if keys.is_own:
                keys.forget_others()
        except (SealError, StoreError) as error:
            return RotationOutcome(problem=str(error))
        except OSError as error:
            return RotationOutcome(problem=f"cannot write the configuration: {error.strerror}")
    _logger.warning("%s rotated the master key; %d secrets were sealed again", author, sealer.sealed + of_users)
    return RotationOutcome(sealed=sealer.sealed + of_users)
