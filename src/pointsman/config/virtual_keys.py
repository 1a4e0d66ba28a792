"""Compiles `governance` into the table of virtual keys, which holds only digests of their values."""

import re
from collections.abc import Mapping
from hashlib import sha256

from msgspec.structs import replace

from pointsman.config.access import compile_networks
from pointsman.config.addresses import ListenAddress
from pointsman.config.default_limits import DefaultLimits, Selected, check_not_alone
from pointsman.config.identities_schema import EachCallerSettings
from pointsman.config.limits import LimitCompiler
from pointsman.config.problems import Findings, nearest
from pointsman.config.references import BadReference, NotAReference, References
from pointsman.config.requirements import compile_require
from pointsman.config.schema import (
    Document,
    GovernanceSettings,
    IdentitySettings,
    KeyRights,
    OwnerSettings,
    VirtualKeySettings,
)
from pointsman.config.source import Location
from pointsman.config.strategies import compile_strategy
from pointsman.domain.identity import ChildKeys, EndUserLimits, ProviderEntry, VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.requirements import OWN, merged

MIN_CHARACTERS = 20

_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NOT_FOR_KEYS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host", "te", "upgrade"}
    | {"transfer-encoding", "accept", "user-agent"}
)


class KeyCompiler:
    """Compiles virtual keys, their teams and customers. Limits of a team are the same objects in all its keys.
    `falling` are the compiled keys with a limit that falls to another model, each with its place."""

    def __init__(self, document: Document, references: References, findings: Findings) -> None:
        self._document = document
        self._governance = document.governance
        self._providers = document.providers
        self._references = references
        self._limits = LimitCompiler(findings)
        self._findings = findings
        self._defaults = DefaultLimits(document.governance, findings)
        self.falling: list[tuple[Location, VirtualKey]] = []

    def compile_all(self, now_unix_s: float) -> dict[bytes, VirtualKey]:
        """Return virtual keys by the SHA-256 of their value."""
        self.compile_owners()
        keys: dict[bytes, VirtualKey] = {}
        for name, settings in self._governance.virtual_keys.items():
            place: Location = ("governance", "virtual_keys", name)
            digest = _digest(settings.value, (*place, "value"), self._references, self._findings)
            key = self.whole_key(
                name, digest or b"", settings, place, now_unix_s
            )  # also to find other faults of the key
            self._add(keys, digest, key, (*place, "value"))
            if settings.previous_value is not None:
                where = (*place, "previous_value")
                self._add(keys, _digest(settings.previous_value, where, self._references, self._findings), key, where)
        return keys

    def note_unused(self) -> None:
        """Note teams, customers and default limits without a key. All keys and identities are compiled."""
        if self._governance.keys_file is None:
            self._note_unused()
            self._defaults.note_unused()

    def _add(self, keys: dict[bytes, VirtualKey], digest: bytes | None, key: VirtualKey, place: Location) -> None:
        if digest is not None and digest in keys:
            other = keys[digest].name
            message = (
                "is the same as `value`; set `value` to the new key, or remove `previous_value`"
                if other == key.name
                else f"is also the value of the key {other!r}; give each key its own"
            )
            self._findings.error(place, message)
        elif digest is not None:
            keys[digest] = key

    def compile_one(self, name: str, digest: bytes, settings: VirtualKeySettings, findings: Findings) -> VirtualKey:
        """Compile one key from outside the document. `compile_all` or `compile_owners` comes first."""
        other = self.reporting_to(findings)
        key = other.whole_key(name, digest, settings, (), 0.0)
        self.falling += [(("governance", "keys_file"), key) for _ in other.falling]
        return key

    def reporting_to(self, findings: Findings) -> "KeyCompiler":
        """Return a compiler with the same owners and other findings."""
        other = KeyCompiler(self._document, self._references, findings)
        other._of_customer, other._of_team, other._defaults = self._of_customer, self._of_team, self._defaults
        return other

    def end_user_limits(self) -> tuple[EndUserLimits, ...]:
        """The limits of end users, for all keys."""
        return self._defaults.end_users

    def shared_limits(self) -> tuple[Limit, ...]:
        """The limits of teams and customers."""
        return tuple(limit for limits in (*self._of_team.values(), *self._of_customer.values()) for limit in limits)

    def compile_owners(self) -> None:
        """Compile teams and customers, but no key."""
        governance = self._governance
        defaults = self._defaults
        defaults.check_names()
        self._of_customer = {
            name: (
                *(own := self._limits.compile("customer", name, one, ("governance", "customers", name))),
                *defaults.of("customer", name, own, Selected(labels=one.labels)),
            )
            for name, one in governance.customers.items()
        }
        self._of_team = {
            name: (
                *(own := self._limits.compile("team", name, one, ("governance", "teams", name))),
                *defaults.of("team", name, own, Selected(None, one.customer, self._labels(one.customer, one))),
            )
            for name, one in governance.teams.items()
        }
        for name, team in governance.teams.items():
            self._check_name(team.customer, governance.customers, ("governance", "teams", name, "customer"), "customer")
        for name in governance.access_templates:
            self.whole_key(name, b"", _from_template(name), ("governance", "access_templates", name), 0.0)

    def each_of(
        self, name: str, settings: EachCallerSettings, place: Location, identity: VirtualKey
    ) -> tuple[Limit, ...]:
        """Return the limits of each caller of an identity, owned by it."""
        limits = self._limits.compile("virtual_key", name, settings, place)
        if any(limit.then for limit in limits):
            self.falling.append((place, replace(identity, limits=limits)))
        return limits

    def whole_key(
        self, name: str, digest: bytes, settings: VirtualKeySettings, place: Location, now_unix_s: float
    ) -> VirtualKey:
        """Return a key with this value."""
        settings = self._with_template(settings, place)
        key, rights = self.rights(name, settings, place), settings.child_keys
        return replace(
            key,
            digest=digest,
            expires_at=self._expiry(settings, place, now_unix_s),
            children=ChildKeys(rights.at_most, rights.longest_s) if rights is not None else None,
        )

    def rights(self, name: str, settings: VirtualKeySettings | IdentitySettings, place: Location) -> VirtualKey:
        """Return a key with the rights of these settings, without a value."""
        governance, findings = self._governance, self._findings
        team = settings.team
        self._check_name(team, governance.teams, (*place, "team"), "team")
        self._check_name(settings.customer, governance.customers, (*place, "customer"), "customer")
        if team is not None and settings.customer is not None:
            findings.error((*place, "customer"), "a key with a team belongs to the team's customer; remove this field")
        customer = settings.customer
        if team is not None and team in governance.teams:
            customer = governance.teams[team].customer
        labels = self._labels(customer, governance.teams.get(team or ""), settings)
        selected = Selected(team, customer, labels)
        limits = self._limits.compile("virtual_key", name, settings, place)
        limits += self._defaults.of("virtual_key", name, limits, selected)
        if team is not None:
            limits += self._of_team.get(team, ())
        end_users: tuple[EndUserLimits, ...] = ()
        if settings.end_users == "trusted":
            end_users = self._defaults.of_end_users(selected)
            check_not_alone(end_users, limits, place, findings)
        if customer is not None:
            limits += self._of_customer.get(customer, ())
        require = (
            compile_require(settings.require, f"{OWN}{name}"),
            compile_require(governance.teams[team].require, f"team {team}") if team in governance.teams else (),
            compile_require(governance.customers[customer].require, f"customer {customer}")
            if customer in governance.customers
            else (),
        )
        tools = settings.provider_tools
        key = VirtualKey(
            name=name,
            digest=b"",
            team=team,
            customer=customer,
            labels=labels,
            allow_models=tuple(settings.allow_models),
            entries=self._entries(name, settings, place),
            strategy=compile_strategy(settings.strategy, (*place, "strategy"), findings),
            limits=limits,
            near_limit=settings.near_limit,
            require=merged(*require),
            provider_tools=frozenset(tools) if tools is not None else None,
            end_users=end_users,
            networks=self._networks(settings, place),
        )
        of_entries = [limit for entry in key.entries.values() for limit in entry.limits]
        of_users = [limit for one in end_users for limit in one.limits]
        if any(limit.then for limit in (*limits, *of_entries, *of_users)):
            self.falling.append((place, key))
        return key

    def _with_template(self, settings: VirtualKeySettings, place: Location) -> VirtualKeySettings:
        """Return the settings of a key with those of its template, where it sets none itself."""
        templates, name = self._governance.access_templates, settings.template
        self._check_name(name, templates, (*place, "template"), "access template")
        if name is None or name not in templates:
            return settings
        template = templates[name]
        if settings.team not in (None, template.team):
            message = f"the template {name!r} is for the team {template.team!r}; remove one of the two"
            self._findings.error((*place, "team"), message)
        given = (template.model_fields_set & KeyRights.model_fields.keys()) - settings.model_fields_set
        fields = {field: getattr(template, field) for field in given}
        return settings.model_copy(update={**fields, "team": template.team})

    def _labels(self, customer: str | None, *owners: OwnerSettings | None) -> dict[str, str]:
        """Return the labels of a customer, overridden by those of each owner in turn."""
        every = (self._governance.customers.get(customer or ""), *owners)
        return {label: text for owner in every if owner is not None for label, text in owner.labels.items()}

    def _entries(self, name: str, settings: KeyRights, place: Location) -> dict[str, ProviderEntry]:
        entries: dict[str, ProviderEntry] = {}
        for provider, entry in settings.providers.items():
            where: Location = (*place, "providers", provider)
            self._check_name(provider, self._providers, where, "provider")
            limits = self._limits.compile("entry", f"{name}/{provider}", entry, where)
            keys = self._provider_keys(provider, entry.keys, where) if entry.keys is not None else None
            entries[provider] = ProviderEntry(provider, entry.weight, tuple(entry.allow_models), limits, keys)
        if entries and all(entry.weight == 0 for entry in entries.values()):
            self._findings.warning(
                (*place, "providers"), "every weight is 0, so the key cannot use any provider; set a weight above 0"
            )
        return entries

    def _provider_keys(self, provider: str, names: list[str], where: Location) -> frozenset[str]:
        settings = self._providers.get(provider)
        for index, name in enumerate(names):
            if settings is not None:
                self._check_name(name, settings.keys, (*where, "keys", index), f"key of {provider}")
        return frozenset(names)

    def _networks(self, settings: KeyRights, place: Location) -> tuple[str, ...]:
        return compile_networks(settings.networks, (*place, "from"), self._findings)

    def _expiry(self, settings: VirtualKeySettings, place: Location, now_unix_s: float) -> float | None:
        moment = settings.expires_at
        if moment is None:
            return None
        if moment.tzinfo is None:
            message = "must have an offset from UTC, such as `2027-01-01T00:00:00Z`"
            self._findings.error((*place, "expires_at"), message)
            return None
        if moment.timestamp() <= now_unix_s:
            self._findings.warning((*place, "expires_at"), "is in the past, so the key is rejected")
        return moment.timestamp()

    def _check_name(self, name: str | None, known: Mapping[str, object], place: Location, kind: str) -> None:
        if name is not None and name not in known:
            self._findings.error(place, f"unknown {kind} {name!r}{nearest(name, known)}")

    def _note_unused(self) -> None:
        governance = self._governance
        keys: list[VirtualKeySettings | IdentitySettings] = [
            *governance.virtual_keys.values(),
            *governance.identities.values(),
        ]
        if any(one.claims.team or one.claims.customer for one in governance.identities.values()):
            return  # a caller may belong to any of them
        teams = {key.team for key in keys} | {one.team for one in governance.access_templates.values()}
        customers = {key.customer for key in keys} | {
            team.customer for name, team in governance.teams.items() if name in teams
        }
        for name in governance.teams:
            if name not in teams:
                self._findings.note(("governance", "teams", name), "no virtual key belongs to this team")
        for name in governance.customers:
            if name not in customers:
                self._findings.note(("governance", "customers", name), "no virtual key belongs to this customer")


def _from_template(name: str) -> VirtualKeySettings:
    """Return a key of a template, to check it."""
    return VirtualKeySettings(value="", template=name)


def _digest(value: str, place: Location, references: References, findings: Findings) -> bytes | None:
    if value.startswith("sha256:"):
        match = _DIGEST.fullmatch(value)
        if match is None:
            findings.error(place, "`sha256:` must be followed by 64 hexadecimal digits")
            return None
        return bytes.fromhex(match[1])
    if not value:
        findings.error(place, "a virtual key must not be empty")
        return None
    try:
        secret = references.resolve(value).reveal()
    except NotAReference as error:
        findings.error(place, f"{error}, or `sha256:` and the key's SHA-256")
        return None
    except BadReference as error:
        findings.error(place, str(error))
        return None
    if len(secret) < MIN_CHARACTERS:
        message = f"has fewer than {MIN_CHARACTERS} characters and can be guessed; use a longer random key"
        findings.warning(place, message)
    return sha256(secret.encode()).digest()


def compile_key_headers(governance: GovernanceSettings, findings: Findings) -> tuple[str, ...]:
    """Return header names in lower case, in the order of lookup."""
    names: list[str] = []
    for index, header in enumerate(governance.key_headers):
        name = header.lower()
        place: Location = ("governance", "key_headers", index)
        if name in _NOT_FOR_KEYS or name.startswith("x-pointsman-"):
            findings.error(place, "this header has another use and cannot carry a key; choose another")
        if name in names:
            findings.error(place, "duplicate header; remove it")
        names.append(name)
    return tuple(names)


def check_access(governance: GovernanceSettings, listen: ListenAddress | None, findings: Findings) -> None:
    """Check that open mode is for this machine alone, and warn if no key of the document opens closed mode."""
    if governance.require_key:
        if not governance.virtual_keys and governance.keys_file is None and not governance.identities:
            message = (
                "there is no virtual key here, so only keys made by API are accepted; make one by `pointsman keys "
                "create`, define one, such as `virtual_keys: {me: {value: env.MY_KEY}}`, or set `require_key: false` "
                "on a loopback address"
            )
            findings.warning(("governance", "virtual_keys"), message)
    elif listen is not None and not listen.is_loopback:
        message = "must be `true`, or server.listen must be a loopback address that no other machine can reach"
        findings.error(("governance", "require_key"), message)
    elif governance.virtual_keys:
        findings.note(
            ("governance", "require_key"), "virtual keys are defined, but requests without a key are also accepted"
        )
