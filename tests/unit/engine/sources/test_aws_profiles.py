"""Keys of profiles: their own ones, and those of roles, logins and programs."""

import json
import sys
from hashlib import sha1
from pathlib import Path

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import AwsKeys, AwsSource, Secret
from pointsman.engine.sources import aws_profiles
from pointsman.engine.sources.aws import mint
from pointsman.engine.sources.exchange import Minted, RefusedError, UnavailableError

ROLE = "arn:aws:iam::123456789012:role/gateway"
STS = "https://sts.eu-west-1.amazonaws.com/"
PORTAL = "https://portal.sso.us-east-2.amazonaws.com/federation/credentials?role_name=reader&account_id=123456789012"
LOGIN_PROFILE = "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n"
SESSION = "[sso-session corp]\nsso_region = us-east-2\nsso_start_url = https://corp.awsapps.com/start\n"
STATIC = "aws_access_key_id = AKIA1\naws_secret_access_key = own\n"
TEMPORARY = Minted(AwsKeys("ASIA1", Secret("s3cret"), Secret("t0ken")), NOW + 3600)


def sts(action: str) -> dict[str, object]:
    keys = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", "SessionToken": "t0ken", "Expiration": NOW + 3600}
    return {f"{action}Response": {f"{action}Result": {"Credentials": keys}}}


def minted(home: Path, service: TokenService | None = None, **environ: str) -> Minted:
    machine = (service or TokenService({})).machine({"AWS_EC2_METADATA_DISABLED": "true", **environ}, home)
    return run(mint(AwsSource(region="eu-west-1"), machine))


def written(home: Path, config: str, credentials: str = "") -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(config)
    (home / ".aws" / "credentials").write_text(credentials)


def logged_in(home: Path, name: str, expires_at: str = "2027-01-15T12:00:00Z") -> None:
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "login-token", "expiresAt": expires_at, "region": "us-east-2"}
    (cache / f"{sha1(name.encode()).hexdigest()}.json").write_text(json.dumps(token))


ANSWER = {
    "roleCredentials": {
        "accessKeyId": "ASIA1",
        "secretAccessKey": "s3cret",
        "sessionToken": "t0ken",
        "expiration": int((NOW + 3600) * 1000),
    }
}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (LOGIN_PROFILE + SESSION, "corp"),
        (
            LOGIN_PROFILE.replace("sso_session = corp", "sso_region = us-east-2\nsso_start_url = https://a.test/start"),
            "https://a.test/start",
        ),
    ],
)
def test_login_is_exchanged_for_the_keys_of_its_role(tmp_path: Path, config: str, name: str) -> None:
    written(tmp_path, config)
    logged_in(tmp_path, name)
    service = TokenService({PORTAL: [(200, ANSWER)]})
    assert minted(tmp_path, service) == TEMPORARY
    assert service.asked[0].headers == {"x-amz-sso_bearer_token": "login-token"}


@pytest.mark.parametrize(
    ("expires_at", "status", "message"),
    [
        ("2027-01-15T07:59:59Z", 200, "the login of the profile 'default' has ended; run `aws sso login --profile def"),
        ("2027-01-15T12:00:00Z", 401, "refused with status 401; run `aws sso login --profile default` as the user"),
        ("", 200, "nobody has logged in for the profile 'default'; run `aws sso login"),
    ],
)
def test_login_that_has_ended_names_the_remedy(tmp_path: Path, expires_at: str, status: int, message: str) -> None:
    written(tmp_path, LOGIN_PROFILE + SESSION)
    if expires_at:
        logged_in(tmp_path, "corp", expires_at)
    with pytest.raises(RefusedError, match=message):
        minted(tmp_path, TokenService({PORTAL: [(status, ANSWER)]}))


def test_fault_of_the_login_service_is_no_refusal(tmp_path: Path) -> None:
    written(tmp_path, LOGIN_PROFILE + SESSION)
    logged_in(tmp_path, "corp")
    with pytest.raises(UnavailableError, match="answered with status 503"):
        minted(tmp_path, TokenService({PORTAL: [(503, b"")]}))


def test_incomplete_login_profile_names_the_missing_fields(tmp_path: Path) -> None:
    written(tmp_path, LOGIN_PROFILE)
    with pytest.raises(RefusedError, match="lacks sso_start_url and sso_region; set it"):
        minted(tmp_path)


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "keys of the gateway.py"
    path.write_text(text)
    return f'{sys.executable} "{path}" --profile x'


def printing(keys: object) -> str:
    return f"import json, os, sys\nassert sys.argv[1:] == ['--profile', 'x']\nprint(json.dumps({keys!r}))\n"


KEYS = {"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", "SessionToken": "t0ken"}


def test_program_prints_the_keys(tmp_path: Path) -> None:
    expiring = {**KEYS, "Expiration": "2027-01-15T09:00:00Z"}
    written(tmp_path, f"[profile other]\ncredential_process = {program(tmp_path, printing(expiring))}\n")
    assert minted(tmp_path, AWS_PROFILE="other") == TEMPORARY


def test_keys_of_a_program_may_have_no_end(tmp_path: Path) -> None:
    lasting = {"Version": 1, "AccessKeyId": "AKIA1", "SecretAccessKey": "s"}
    written(tmp_path, f"[default]\ncredential_process = {program(tmp_path, printing(lasting))}\n")
    assert minted(tmp_path) == Minted(AwsKeys("AKIA1", Secret("s")), None)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("raise SystemExit(3)", UnavailableError, "failed with status 3; run it by hand"),
        ("print('hello')", RefusedError, "printed no JSON object with Version 1 and keys"),
        (printing({**KEYS, "Version": 2}), RefusedError, "printed no JSON object with Version 1"),
    ],
)
def test_program_without_keys_has_a_reason(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    written(tmp_path, f"[default]\ncredential_process = {program(tmp_path, text)}\n")
    with pytest.raises(error, match=message):
        minted(tmp_path)


@pytest.mark.parametrize("command", ["/nowhere/at/all", '"unclosed'])
def test_program_that_cannot_be_started_is_refused(tmp_path: Path, command: str) -> None:
    written(tmp_path, f"[default]\ncredential_process = {command}\n")
    with pytest.raises(RefusedError, match=r"cannot be started: .*; correct it"):
        minted(tmp_path)


def test_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_profiles, "PROGRAM_S", 0.5)
    text = "import subprocess\nsubprocess.run(['sleep', '3600'])\n"  # the child keeps the pipe open
    written(tmp_path, f"[default]\ncredential_process = {program(tmp_path, text)}\n")
    with pytest.raises(UnavailableError, match=r"did not end within 0.5 seconds"):
        minted(tmp_path)


def test_role_is_assumed_with_the_keys_of_its_source(tmp_path: Path) -> None:
    config = f"[profile base]\n{STATIC}[default]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = e1\n"
    written(tmp_path, config + "role_session_name = nightly\n")
    service = TokenService({STS: [(200, sts("AssumeRole"))]})
    assert minted(tmp_path, service) == TEMPORARY
    form = service.asked[0].form
    assert (form["RoleArn"], form["ExternalId"], form["RoleSessionName"]) == (ROLE, "e1", "nightly")
    assert "Credential=AKIA1/" in service.asked[0].headers["authorization"]


def test_role_may_use_the_keys_of_its_own_profile_or_of_the_environment(tmp_path: Path) -> None:
    written(tmp_path, f"[default]\nrole_arn = {ROLE}\nsource_profile = default\n", f"[default]\n{STATIC}")
    service = TokenService({STS: [(200, sts("AssumeRole"))]})
    assert minted(tmp_path, service) == TEMPORARY
    (tmp_path / ".aws" / "config").write_text(f"[profile c]\nrole_arn = {ROLE}\ncredential_source = EcsContainer\n")
    keys = {"AccessKeyId": "ASIA9", "SecretAccessKey": "s", "Token": "t"}
    service.answers["http://169.254.170.2/x"] = [(200, keys)]
    assert minted(tmp_path, service, AWS_PROFILE="c", AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/x") == TEMPORARY
    assert "Credential=ASIA9/" in service.asked[-1].headers["authorization"]


def test_role_of_a_web_identity(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJ.web\n")
    written(tmp_path, f"[default]\nrole_arn = {ROLE}\nweb_identity_token_file = {tmp_path / 'token'}\n")
    service = TokenService({STS: [(200, sts("AssumeRoleWithWebIdentity"))]})
    assert minted(tmp_path, service) == TEMPORARY
    assert service.asked[0].form["WebIdentityToken"] == "eyJ.web"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "has no valid source_profile or credential_source; set one"),
        ("credential_source = Moon\n", "has no valid source_profile or credential_source"),
        ("source_profile = none\n", "'none' of AWS's shared files does not exist; correct its `source_profile`"),
        ("source_profile = default\n", "is part of a chain of too many roles"),
        ("source_profile = empty\n", "the source of the profile 'default' has no keys"),
        ("mfa_serial = arn:aws:iam::1:mfa/me\nsource_profile = empty\n", "requires a code of a device"),
    ],
)
def test_role_without_a_source_has_a_reason(tmp_path: Path, more: str, message: str) -> None:
    written(tmp_path, f"[profile empty]\nregion = eu-west-1\n[default]\nrole_arn = {ROLE}\n{more}")
    with pytest.raises(RefusedError, match=message):
        minted(tmp_path)


def test_file_of_credentials_wins_over_the_other(tmp_path: Path) -> None:
    written(tmp_path, "[default]\naws_access_key_id = A\naws_secret_access_key = b\n", f"[default]\n{STATIC}")
    assert minted(tmp_path).credential == AwsKeys("AKIA1", Secret("own"))


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    written(tmp_path, "no section\n")
    with pytest.raises(RefusedError, match=r"the file .*config of AWS's tools is unreadable; correct it"):
        minted(tmp_path)
