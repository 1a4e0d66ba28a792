"""Callers who prove an identity instead of a virtual key: by a signed token, or by a client certificate.

All callers of an identity share its policy, which is a virtual key without a value. Each of them is a child of it: it
has a name of its own, `IDENTITY:SUBJECT`, and limits of its own beside the shared ones. So budgets, rules and records
need not know how a caller proved who it is.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.network import Network

Claims = Mapping[str, object]

MARK = ":"  # between an identity and a subject: no name of a virtual key has it
MAX_SUBJECT = 512
_PLAIN = "@._-~+=,:"  # `/` and `|` separate parts of the names of counters
_MAX_SHOWN = 160
_MAX_LABEL = 255


class CallerError(Exception):
    """Claims that give no rights. The message has the reason, for the log."""


class KeySource(Struct, frozen=True):
    """The origin of an issuer's public keys: a file, `path`, or an address, `url`. Without both, the issuer's metadata
    name the address. They are read again every `refresh_s`, and trusted for `max_age_s` if that fails."""

    issuer: str
    url: str
    path: str
    network: Network
    refresh_s: float
    max_age_s: float


class TokenTrust(Struct, frozen=True):
    """The tokens that an identity accepts: signed by a key of `source` with one of `algorithms`, and for one of
    `audiences`. Times may be wrong by `clock_skew_s`."""

    issuer: str
    audiences: frozenset[str]
    algorithms: tuple[str, ...]
    clock_skew_s: float
    source: KeySource


class CallerIdentity(Struct, frozen=True, kw_only=True, eq=False):
    """A set of callers. `trust` is set if they present tokens, else they present client certificates. `when` is the
    condition over their claims, in CEL. `subject` is the claim that names a caller.

    `key` is the policy of all callers together, and `each` has the limits of each caller, owned by the identity.
    `labels` are claims by the label that takes their value. `team` and `customer` are the claims that name the caller's
    team or customer, and `owned` are the policies by the name of such an owner.
    """

    name: str
    key: VirtualKey
    each: tuple[Limit, ...] = ()
    trust: TokenTrust | None = None
    when: str
    subject: str
    labels: dict[str, str] = {}
    team: str | None = None
    customer: str | None = None
    owned: dict[str, VirtualKey] = {}

    def named(self, name: str) -> VirtualKey:
        """Return the key of the caller with this name, with the policy of the identity."""
        return _child(self, self.key, name)

    def caller(self, claims: Claims) -> VirtualKey:
        """Return the key of the caller with these claims. Raises `CallerError`."""
        policy = self._policy(claims)
        found = {label: _label(claims, claim) for label, claim in self.labels.items()}
        labels = {label: text for label, text in found.items() if text is not None}
        child = _child(self, policy, f"{self.name}{MARK}{shown(_subject(claims, self.subject))}")
        return replace(child, labels={**policy.labels, **labels}) if labels else child

    def _policy(self, claims: Claims) -> VirtualKey:
        claim = self.team or self.customer
        if claim is None:
            return self.key
        name = text_at(claims, claim)
        if name is None:
            if self.key.team is None and self.key.customer is None:
                raise CallerError(f"the claim {claim} is missing")
            return self.key
        policy = self.owned.get(name)
        if policy is None:
            raise CallerError(f"the claim {claim} names no {'team' if self.team else 'customer'} of this gateway")
        return policy


def shown(subject: str) -> str:
    """Return a subject as a part of a name. Different subjects have different names."""
    text = quote(subject, safe=_PLAIN)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}~{sha256(subject.encode()).hexdigest()[:32]}"


def value_at(claims: Claims, name: str) -> object:
    """Return a claim by its name, or by a path such as `realm_access.team`. Names may have dots, too, such as
    `kubernetes.io`."""
    if name in claims:
        return claims[name]
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        within = claims.get(".".join(parts[:count]))
        if isinstance(within, Mapping):
            return value_at(within, ".".join(parts[count:]))
    return None


def text_at(claims: Claims, name: str) -> str | None:
    """Return a claim that is a text, or a list of one text."""
    found = value_at(claims, name)
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = found[0] if len(found) == 1 else None
    return found if isinstance(found, str) and found else None


def _child(identity: CallerIdentity, policy: VirtualKey, name: str) -> VirtualKey:
    owner = f"virtual_key:{name}"
    each = tuple([replace(limit, owner=owner) for limit in identity.each])
    return replace(policy, name=name, limits=(*each, *policy.limits), parent=identity.name, is_caller=True)


def _subject(claims: Claims, claim: str) -> str:
    found = text_at(claims, claim)
    if found is None:
        raise CallerError(f"the claim {claim}, which names the caller, is missing or is not one text")
    if len(found) > MAX_SUBJECT:
        raise CallerError(f"the claim {claim} has more than {MAX_SUBJECT} characters")
    return found


def _label(claims: Claims, claim: str) -> str | None:
    found = text_at(claims, claim)
    is_plain = found is not None and len(found) <= _MAX_LABEL and found.isprintable()
    return found if is_plain else None
