"""Compiles the credentials of provider keys."""

import re
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.config.addresses import parse_base_url
from pointsman.config.credentials_schema import AwsField, EntraField, EntraSettings
from pointsman.config.problems import Findings
from pointsman.config.references import BadReference, References
from pointsman.config.requirements import compile_tags
from pointsman.config.schema import Deployments, KeySettings, ProviderSettings
from pointsman.config.source import Location
from pointsman.domain.network import is_loopback
from pointsman.domain.origin import AwsKeys, AwsSource, Credential, CredentialKind, EntraSource, GoogleSource, Secret
from pointsman.domain.targets import ProviderKey
from pointsman.providers.api import Provider
from pointsman.routing.wording import listed

_KINDS: tuple[CredentialKind, ...] = ("value", "aws", "google", "entra")
_OF_APPLICATIONS = ("tenant", "client_secret", "federated_token_file")  # fields of `entra`
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# The types of Google's files of credentials, and the fields that the gateway needs of each.
GOOGLE_FILES: Mapping[str, tuple[str, ...]] = {
    "service_account": ("client_email", "private_key"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "external_account": ("audience", "subject_token_type", "token_url", "credential_source"),
    "impersonated_service_account": ("service_account_impersonation_url", "source_credentials"),
}
_OF_SUBJECTS = ("file", "url")  # the places of a subject token that the gateway reads


def kind_in(settings: KeySettings) -> CredentialKind | None:
    """Return the kind of credential that a key sets, or `None` if it does not set exactly one."""
    kinds = [kind for kind in _KINDS if getattr(settings, kind) is not None]
    return kinds[0] if len(kinds) == 1 else None


class CredentialCompiler(Struct, frozen=True):
    """Compiles the credentials of one provider, which is of the type `record` and in `region`."""

    record: Provider
    region: str
    references: References
    findings: Findings

    def compile(self, settings: KeySettings, location: Location) -> Credential | None:
        """Return the credential of a key, or `None` if it is not usable. The reason is then among the findings."""
        kind, takes = kind_in(settings), self.record.credentials
        if kind is None and takes == ("value",):
            self.findings.error((*location, "value"), "is required; set it to env.NAME or file:PATH")
            return None
        if kind is None:
            self.findings.error(location, f"set exactly one of: {listed(takes)}")
            return None
        if kind not in takes:
            message = f"the type {self.record.name} takes no such credential; set one of: {listed(takes)}"
            self.findings.error((*location, kind), message)
            return None
        place = (*location, kind)
        if kind == "value":
            return self._found(settings.value or "", place, self._secret)
        if kind == "google":
            return self._google(settings.google or "", place)
        return self._entra(settings.entra, place) if settings.entra is not None else self._aws(settings.aws, place)

    def _found(self, text: str, place: Location, read: Callable[[str], Secret]) -> Secret | None:
        try:
            return read(text)
        except BadReference as error:
            self.findings.error(place, str(error))
            return None

    def _secret(self, reference: str) -> Secret:
        return self.references.resolve(reference) if reference else Secret("")

    def _id(self, text: str, place: Location) -> str | None:
        """Return an id, which is no secret: the text itself, or that which it refers to."""
        if text.startswith(("env.", "file:")):
            found = self._found(text, place, self.references.resolve)
            if found is None:
                return None
            text = found.reveal()
        if _ID.fullmatch(text):
            return text
        self.findings.error(place, "must have only letters, digits, dots, dashes and underscores, and at least one")
        return None

    def _aws(self, settings: AwsField | None, place: Location) -> Credential | None:
        if settings is None or isinstance(settings, str):
            return AwsSource(region=self.region)
        if (settings.access_key_id is None) != (settings.secret_access_key is None):
            self.findings.error(place, "set both access_key_id and secret_access_key, or neither")
            return None
        keys: AwsKeys | None = None
        if settings.access_key_id is not None:
            key_id = self._id(settings.access_key_id, (*place, "access_key_id"))
            secret = self._found(
                settings.secret_access_key or "", (*place, "secret_access_key"), self.references.resolve
            )
            token = None
            if settings.session_token is not None:
                token = self._found(settings.session_token, (*place, "session_token"), self.references.resolve)
            if key_id is None or secret is None or (token is None and settings.session_token is not None):
                return None
            keys = AwsKeys(key_id, secret, token)
        elif settings.session_token is not None:
            self.findings.error((*place, "session_token"), "requires access_key_id and secret_access_key; set them")
            return None
        if keys is not None and settings.role_arn is None:
            return keys
        return AwsSource(keys, settings.role_arn or "", self.region)

    def _google(self, text: str, place: Location) -> GoogleSource | None:
        if text == "adc":
            return GoogleSource()
        found = self._found(text, place, self.references.document)
        if found is None:
            return None
        if self.references.reads_secrets:
            problem = _problem_of(msgspec.json.decode(found.reveal(), type=dict[str, object]))
            if problem:
                self.findings.error(place, problem)
                return None
        return GoogleSource(found)

    def _entra(self, field: EntraField, place: Location) -> EntraSource | None:
        settings = EntraSettings(identity=field) if isinstance(field, str) else field
        if settings.identity == "application":
            return self._application(settings, place)
        unused = [name for name in _OF_APPLICATIONS if getattr(settings, name) is not None]
        if unused:
            message = f"the identity {settings.identity} has no such field; remove it, or set `identity: application`"
            self.findings.error((*place, unused[0]), message)
            return None
        authority = self._authority(settings.authority, (*place, "authority"))
        client_id = ""
        if settings.client_id is not None:
            found = self._id(settings.client_id, (*place, "client_id"))
            if found is None:
                return None
            client_id = found
        if authority is None:
            return None
        return EntraSource(identity=settings.identity, client_id=client_id, authority=authority, scope=settings.scope)

    def _application(self, settings: EntraSettings, place: Location) -> EntraSource | None:
        if settings.tenant is None or settings.client_id is None:
            message = "set tenant and client_id, or `identity` to managed_identity or ambient"
            self.findings.error(place, message)
            return None
        tenant = self._id(settings.tenant, (*place, "tenant"))
        client_id = self._id(settings.client_id, (*place, "client_id"))
        file, secret = settings.federated_token_file, None
        if (file is None) == (settings.client_secret is None):
            self.findings.error(place, "set one of client_secret and federated_token_file")
            return None
        if settings.client_secret is not None:
            secret = self._found(settings.client_secret, (*place, "client_secret"), self.references.resolve)
        authority = self._authority(settings.authority, (*place, "authority"))
        if tenant is None or client_id is None or authority is None or (file is None and secret is None):
            return None
        return EntraSource(
            tenant=tenant,
            client_id=client_id,
            client_secret=secret,
            token_file=self.references.path(file) if file is not None else "",
            authority=authority,
            scope=settings.scope,
        )

    def _authority(self, text: str, place: Location) -> str | None:
        try:
            origin, path = parse_base_url(text)
        except ValueError as error:
            self.findings.error(place, str(error))
            return None
        if origin.scheme == "http" and not is_loopback(origin.host):
            self.findings.error(place, "http:// would send the secret unencrypted; use https://")
            return None
        return f"{origin}{path}"


def _is_twin(one: ProviderKey, other: ProviderKey) -> bool:
    return one.credential == other.credential and one.deployments == other.deployments


def _problem_of(fields: Mapping[str, object]) -> str:
    """Return the reason that a file of Google's credentials is not usable; empty if it is."""
    kind = str(fields.get("type"))
    needed = GOOGLE_FILES.get(kind)
    if needed is None:
        message = "is no file of credentials that the gateway reads; its `type` must be one of"
        return f"{message}: {listed(GOOGLE_FILES)}"
    lacking = [name for name in needed if not isinstance(fields.get(name), str | dict) or not fields[name]]
    if lacking:
        return f"lacks {listed(lacking)}; download the file again"
    subject, inner = fields.get("credential_source"), fields.get("source_credentials")
    if kind == "external_account" and not (isinstance(subject, dict) and any(map(subject.get, _OF_SUBJECTS))):
        return "has a credential_source of AWS or of a program; the gateway reads only `file` and `url`"
    if kind != "impersonated_service_account":
        return ""
    if not isinstance(inner, dict) or inner.get("type") == kind:
        return "has no usable source_credentials; create the file again"
    problem = _problem_of(inner)
    return f"its source_credentials: {problem}" if problem else ""


class ProviderKeyCompiler(Struct, frozen=True):
    """Compiles the keys of one provider, which is of the type `record`. `now_unix_s` is the time, in Unix seconds."""

    record: Provider
    settings: ProviderSettings
    references: References
    findings: Findings
    now_unix_s: float

    def compile(self, location: Location) -> tuple[ProviderKey, ...] | None:
        """Return the keys, or `None` if one is not usable. The reason is then among the findings."""
        record, settings = self.record, self.settings
        if not settings.keys:
            if record.needs_key and settings.base_url is None:
                example = record.key_env or "NAME"
                message = f"{record.title} requires a key; set `keys: {{default: {{value: env.{example}}}}}`"
                if others := [kind for kind in record.credentials if kind != "value"]:
                    message += f", or {listed(others)} instead of value"
                self.findings.error(location, message)
                return None
            return (self._deployed(ProviderKey("default", Secret("")), settings.deployments),)
        credentials = CredentialCompiler(record, settings.region or "", self.references, self.findings)
        keys: list[ProviderKey] = []
        for name, key_settings in settings.keys.items():
            place = (*location, "keys", name)
            key = self._key(name, key_settings, credentials, place)
            if key is None:
                continue
            is_empty = key.credential == Secret("")
            if is_empty and record.needs_key and settings.base_url is None:
                self.findings.warning((*place, "value"), f"is empty, but {record.title} rejects requests without a key")
            # Two deployments of one model need two keys, which may be of one account.
            twin = next((one for one in keys if _is_twin(one, key) and not is_empty), None)
            if twin is not None:
                message = f"is the same credential as that of the key {twin.name!r}; remove one of the two keys"
                self.findings.warning((*place, kind_in(key_settings) or "value"), message)
            keys.append(key)
        if len(keys) < len(settings.keys):
            return None
        if not any(key.weight > 0 for key in keys):
            self.findings.warning(
                (*location, "keys"), "every key has weight 0, so no request can use this provider; set a weight above 0"
            )
        return tuple(keys)

    def _key(
        self, name: str, settings: KeySettings, credentials: CredentialCompiler, location: Location
    ) -> ProviderKey | None:
        credential = credentials.compile(settings, location)
        if credential is None:
            return None
        if settings.weight == 0:
            self.findings.note((*location, "weight"), "weight 0: the key is not used")
        tags = compile_tags(settings.tags, (*location, "tags"), self.findings, self.now_unix_s)
        key = ProviderKey(
            name,
            credential,
            settings.weight,
            tuple(settings.serves),
            tags=tags,
            cache_domain=settings.cache_domain or "",
        )
        return self._deployed(key, settings.deployments or self.settings.deployments)

    def _deployed(self, key: ProviderKey, deployments: Deployments) -> ProviderKey:
        """Return a key with its names of models. If users name all models of a provider, it serves no others."""
        others = (other.deployments for other in self.settings.keys.values())
        is_only = self.record.has_deployments and (bool(self.settings.deployments) or any(others))
        return replace(key, deployments=dict(deployments), is_deployed_only=is_only)
