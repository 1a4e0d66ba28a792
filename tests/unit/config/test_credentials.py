"""Credentials of provider keys are compiled by their kind, and every mistake has a message that says what to do."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pointsman.config.credentials import CredentialCompiler
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.schema import KeySettings
from pointsman.config.source import parse
from pointsman.domain.origin import AwsKeys, AwsSource, Credential, EntraIdentity, EntraSource, GoogleSource, Secret
from pointsman.providers import PROVIDERS
from pointsman.providers.api import Provider

ENVIRON = {"ID": "AKIA1", "SECRET": "s3cret", "TOKEN": "t0ken", "TENANT": "tenant-1", "MANY": "a\nb"}
ROLE = "arn:aws:iam::123456789012:role/gateway"
ACCOUNT = {"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": "-----\nKEY\n"}


EXTERNAL = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/x",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/token"},
}
IMPERSONATED = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/x:generateAccessToken",
    "source_credentials": {"type": "impersonated_service_account"},
}


def taking_all() -> Provider:
    return Provider(
        name="cloud",
        title="Cloud",
        base_url=None,
        key_env=None,
        codecs=PROVIDERS["openai"].codecs,
        credentials=("value", "aws", "google", "entra"),
    )


def compile_key(
    fields: Mapping[str, object], folder: Path = Path(), record: Provider | None = None
) -> tuple[Credential | None, list[str]]:
    findings = Findings(parse(b"a: 1"))
    compiler = CredentialCompiler(record or taking_all(), "eu-west-1", References(ENVIRON, folder), findings)
    credential = compiler.compile(KeySettings.model_validate(fields), ("keys", "a"))
    return credential, [f"{one.path}: {one.message}" for one in findings.in_order()]


def of_machine(identity: EntraIdentity, client_id: str = "") -> EntraSource:
    authority, scope = "https://login.microsoftonline.com:443", "https://cognitiveservices.azure.com/.default"
    return EntraSource(identity=identity, client_id=client_id, authority=authority, scope=scope)


ENTRA = {"tenant": "env.TENANT", "client_id": "app-1"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": "env.SECRET"}, Secret("s3cret")),
        ({"value": ""}, Secret("")),
        ({"aws": "ambient"}, AwsSource(region="eu-west-1")),
        ({"aws": {}}, AwsSource(region="eu-west-1")),
        (
            {"aws": {"access_key_id": "env.ID", "secret_access_key": "env.SECRET"}},
            AwsKeys("AKIA1", Secret("s3cret")),
        ),
        (
            {"aws": {"access_key_id": "AKIA2", "secret_access_key": "env.SECRET", "session_token": "env.TOKEN"}},
            AwsKeys("AKIA2", Secret("s3cret"), Secret("t0ken")),
        ),
        ({"aws": {"role_arn": ROLE}}, AwsSource(None, ROLE, "eu-west-1")),
        (
            {"aws": {"access_key_id": "AKIA2", "secret_access_key": "env.SECRET", "role_arn": ROLE}},
            AwsSource(AwsKeys("AKIA2", Secret("s3cret")), ROLE, "eu-west-1"),
        ),
        ({"google": "adc"}, GoogleSource()),
        ({"entra": "managed_identity"}, of_machine("managed_identity")),
        ({"entra": "ambient"}, of_machine("ambient")),
        (
            {"entra": {"identity": "managed_identity", "client_id": "id-2"}},
            of_machine("managed_identity", "id-2"),
        ),
        (
            {"entra": {**ENTRA, "client_secret": "env.SECRET"}},
            EntraSource(
                tenant="tenant-1",
                client_id="app-1",
                client_secret=Secret("s3cret"),
                authority="https://login.microsoftonline.com:443",
                scope="https://cognitiveservices.azure.com/.default",
            ),
        ),
        (
            {"entra": {**ENTRA, "federated_token_file": "token", "authority": "https://login.microsoftonline.us"}},
            EntraSource(
                tenant="tenant-1",
                client_id="app-1",
                token_file="token",
                authority="https://login.microsoftonline.us:443",
                scope="https://cognitiveservices.azure.com/.default",
            ),
        ),
    ],
)
def test_each_kind_is_compiled(fields: Mapping[str, object], expected: Credential) -> None:
    assert compile_key(fields) == (expected, [])


@pytest.mark.parametrize("account", [EXTERNAL, {**IMPERSONATED, "source_credentials": EXTERNAL}])
def test_file_of_another_google_account_is_taken(tmp_path: Path, account: object) -> None:
    (tmp_path / "account.json").write_text(json.dumps(account))
    credential, problems = compile_key({"google": "file:account.json"}, tmp_path)
    assert (isinstance(credential, GoogleSource), problems) == (True, [])


def test_file_of_a_google_account_is_one_secret_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(json.dumps(ACCOUNT, indent=2))
    credential, problems = compile_key({"google": "file:account.json"}, tmp_path)
    assert isinstance(credential, GoogleSource)
    assert credential.file is not None
    assert (json.loads(credential.file.reveal()), problems) == (ACCOUNT, [])
    assert credential.file.reference is not None
    assert References(ENVIRON, tmp_path).restore(credential.file.reference) == credential.file


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "keys.a: set exactly one of: aws, entra, google, value"),
        ({"value": "env.SECRET", "google": "adc"}, "keys.a: set exactly one of: aws, entra, google, value"),
        ({"value": "env.MANY"}, "keys.a.value: env.MANY contains a line break"),
        ({"google": "env.MANY"}, "keys.a.google: env.MANY is no JSON object"),
        ({"google": "AIza"}, "keys.a.google: a secret must not be in this file"),
        ({"aws": {"access_key_id": "AKIA2"}}, "keys.a.aws: set both access_key_id and secret_access_key, or neither"),
        ({"aws": {"session_token": "env.TOKEN"}}, "keys.a.aws.session_token: requires access_key_id"),
        (
            {"aws": {"access_key_id": "AKIA2", "secret_access_key": "s3cret"}},
            "keys.a.aws.secret_access_key: a secret must not be in this file",
        ),
        (
            {"aws": {"access_key_id": "env.NONE", "secret_access_key": "env.SECRET"}},
            "keys.a.aws.access_key_id: the environment variable NONE is not set",
        ),
        (
            {"aws": {"access_key_id": "", "secret_access_key": "env.SECRET"}},
            "keys.a.aws.access_key_id: must have only letters, digits, dots, dashes and underscores, and at least one",
        ),
        (
            {"aws": {"access_key_id": "AKIA2", "secret_access_key": ""}},
            "keys.a.aws.secret_access_key: is empty; set it to env.NAME or file:PATH",
        ),
        ({"google": ""}, "keys.a.google: is empty; set it to env.NAME or file:PATH"),
        ({"entra": {}}, "keys.a.entra: set tenant and client_id, or `identity` to managed_identity or ambient"),
        (
            {"entra": {"identity": "managed_identity", "tenant": "t"}},
            "keys.a.entra.tenant: the identity managed_identity has no such field; remove it",
        ),
        ({"entra": {"identity": "ambient", "client_id": "a b"}}, "keys.a.entra.client_id: must have only letters"),
        ({"entra": ENTRA}, "keys.a.entra: set one of client_secret and federated_token_file"),
        (
            {"entra": {**ENTRA, "client_id": "a b", "client_secret": "env.SECRET"}},
            "keys.a.entra.client_id: must have only letters",
        ),
        (
            {"entra": {**ENTRA, "client_secret": "env.SECRET", "authority": "http://login.test"}},
            "keys.a.entra.authority: http:// would send the secret unencrypted; use https://",
        ),
    ],
)
def test_mistake_has_a_message(fields: Mapping[str, object], problem: str) -> None:
    credential, problems = compile_key(fields)
    assert credential is None
    assert [one for one in problems if one.startswith(problem)], problems


@pytest.mark.parametrize(
    ("account", "problem"),
    [
        (
            {"type": "impersonated"},
            "its `type` must be one of: authorized_user, external_account, impersonated_service",
        ),
        ({**EXTERNAL, "audience": ""}, "keys.a.google: lacks audience; download the file again"),
        (
            {**EXTERNAL, "credential_source": {"environment_id": "aws1"}},
            "has a credential_source of AWS or of a program",
        ),
        (IMPERSONATED, "has no usable source_credentials; create the file again"),
        (
            {**IMPERSONATED, "source_credentials": {"type": "authorized_user"}},
            "its source_credentials: lacks client_id, client_secret, refresh_token",
        ),
        ({**ACCOUNT, "private_key": ""}, "keys.a.google: lacks private_key; download the file again"),
    ],
)
def test_unusable_file_of_a_google_account_is_rejected(tmp_path: Path, account: object, problem: str) -> None:
    (tmp_path / "account.json").write_text(json.dumps(account))
    credential, (message,) = compile_key({"google": "file:account.json"}, tmp_path)
    assert credential is None
    assert problem in message


def test_kind_that_the_type_does_not_take_is_rejected() -> None:
    credential, problems = compile_key({"google": "adc"}, record=PROVIDERS["openai"])
    assert credential is None
    assert problems == ["keys.a.google: the type openai takes no such credential; set one of: value"]
