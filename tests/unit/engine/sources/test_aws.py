"""Temporary keys of AWS: the order of the places they come from, and roles."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import AwsKeys, AwsSource, Secret
from pointsman.engine.sources.aws import mint
from pointsman.engine.sources.exchange import Minted, RefusedError, UnavailableError

ROLE = "arn:aws:iam::123456789012:role/gateway"
STS = "https://sts.eu-west-1.amazonaws.com/"
KEYS = {
    "AccessKeyId": "ASIA1",
    "SecretAccessKey": "s3cret",
    "Token": "t0ken",
    "Expiration": "2027-01-15T09:00:00Z",  # an hour after NOW
}
TEMPORARY = Minted(AwsKeys("ASIA1", Secret("s3cret"), Secret("t0ken")), NOW + 3600)
OWN = AwsKeys("AKIA1", Secret("own-secret"))


def sts(action: str) -> dict[str, object]:
    keys = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", "SessionToken": "t0ken", "Expiration": NOW + 3600}
    return {f"{action}Response": {f"{action}Result": {"Credentials": keys}}}


def minted(
    service: TokenService, source: AwsSource, environ: Mapping[str, str] | None = None, home: Path = Path("/nowhere")
) -> Minted:
    return run(mint(source, service.machine(environ, home)))


AMBIENT = AwsSource(region="eu-west-1")


def test_keys_of_the_environment_come_first() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    found = minted(TokenService({}), AMBIENT, {**environ, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"})
    assert found == Minted(AwsKeys("AKIA2", Secret("s"), Secret("t")), None)


def test_web_identity_is_exchanged_for_the_keys_of_a_role(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJ.web\n")
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    service = TokenService({STS: [(200, sts("AssumeRoleWithWebIdentity"))]})
    assert minted(service, AMBIENT, environ) == TEMPORARY
    (asked,) = service.asked
    assert (asked.form["WebIdentityToken"], asked.form["RoleArn"]) == ("eyJ.web", ROLE)
    assert "authorization" not in asked.headers


def test_shared_file_has_keys_by_profile(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    text = "[default]\naws_access_key_id = A\naws_secret_access_key = b%c\n[other]\naws_access_key_id = D\n"
    (tmp_path / ".aws" / "credentials").write_text(text + "aws_secret_access_key = e\naws_session_token = f\n")
    assert minted(TokenService({}), AMBIENT, {}, tmp_path).credential == AwsKeys("A", Secret("b%c"))
    found = minted(TokenService({}), AMBIENT, {"AWS_PROFILE": "other"}, tmp_path)
    assert found.credential == AwsKeys("D", Secret("e"), Secret("f"))


@pytest.mark.parametrize(
    ("environ", "url", "is_local"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}, "http://169.254.170.2/v2/x", True),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "", True),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://keys.test/v1"}, "", False),
    ],
)
def test_container_has_a_service_of_its_own(environ: dict[str, str], url: str, is_local: bool) -> None:
    service = TokenService({url or environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]: [(200, KEYS)]})
    assert minted(service, AMBIENT, {**environ, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic x"}) == TEMPORARY
    assert (service.asked[0].headers, service.asked[0].is_local) == ({"authorization": "Basic x"}, is_local)


def test_container_service_of_another_machine_needs_https() -> None:
    with pytest.raises(RefusedError, match="must be an https address, or one of this machine"):
        minted(TokenService({}), AMBIENT, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://keys.test/"})


def test_machine_is_asked_in_its_second_protocol() -> None:
    base = "http://169.254.169.254/latest"
    roles = f"{base}/meta-data/iam/security-credentials/"
    answers: dict[str, list[tuple[int, object]]] = {
        f"{base}/api/token": [(200, b"session")],
        roles: [(200, b"my-role\n")],
        f"{roles}my-role": [(200, KEYS)],
    }
    service = TokenService(answers)
    assert minted(service, AMBIENT) == TEMPORARY
    assert [one.method for one in service.asked] == ["PUT", "GET", "GET"]
    assert all(one.is_local for one in service.asked)
    assert service.asked[2].headers == {"x-aws-ec2-metadata-token": "session"}


@pytest.mark.parametrize(
    ("environ", "error"), [({}, UnavailableError), ({"AWS_EC2_METADATA_DISABLED": "true"}, RefusedError)]
)
def test_missing_keys_name_the_ways_to_set_them(environ: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"neither AWS_ACCESS_KEY_ID nor a web identity.*set `aws` to"):
        minted(TokenService({}), AMBIENT, environ)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (500, UnavailableError, "answered with status 500"),
        (503, UnavailableError, "answered with status 503"),
        (429, UnavailableError, "answered with status 429"),
        (403, RefusedError, "allow IMDSv2"),
    ],
)
def test_fault_of_the_metadata_service_is_no_refusal(status: int, error: type[Exception], message: str) -> None:
    service = TokenService({"http://169.254.169.254/latest/api/token": [(status, b"")]})
    with pytest.raises(error, match=message):
        minted(service, AMBIENT)


def test_metadata_service_at_another_address_needs_no_proxy() -> None:
    service = TokenService({"http://imds.test:1338/latest/api/token": [(500, b"")]})
    with pytest.raises(UnavailableError):
        minted(service, AMBIENT, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://imds.test:1338/"})
    assert service.asked[0].is_local


def test_role_is_assumed_with_the_keys_of_the_machine() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "s"}
    service = TokenService({STS: [(200, sts("AssumeRole"))]})
    assert minted(service, AwsSource(None, ROLE, "eu-west-1"), environ) == TEMPORARY
    assert "Credential=AKIA2/" in service.asked[0].headers["authorization"]


def test_named_profile_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        RefusedError, match=r"the profile 'none' of AWS's shared files does not exist, or .*; correct AWS_PROFILE"
    ):
        minted(TokenService({}), AMBIENT, {"AWS_PROFILE": "none"})


@pytest.mark.parametrize(
    ("token", "roles", "error", "message"),
    [
        (b"\x01\x02", b"my-role", UnavailableError, "returned an unreadable token"),
        (b"session", b"\n", RefusedError, "names no role; give the machine an instance profile"),
    ],
)
def test_odd_answers_of_the_metadata_service(token: bytes, roles: bytes, error: type[Exception], message: str) -> None:
    base = "http://169.254.169.254/latest"
    answers: dict[str, list[tuple[int, object]]] = {
        f"{base}/api/token": [(200, token)],
        f"{base}/meta-data/iam/security-credentials/": [(200, roles)],
    }
    with pytest.raises(error, match=message):
        minted(TokenService(answers), AMBIENT)
