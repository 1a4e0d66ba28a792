"""Keys of roles, from AWS's token service."""

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import AwsKeys, AwsSource, Secret
from pointsman.engine.sources.aws import mint
from pointsman.engine.sources.aws_roles import by_web_identity
from pointsman.engine.sources.exchange import Minted, RefusedError, UnavailableError

ROLE = "arn:aws:iam::123456789012:role/gateway"
STS = "https://sts.eu-west-1.amazonaws.com/"
OWN = AwsKeys("AKIA1", Secret("own-secret"))
TEMPORARY = Minted(AwsKeys("ASIA1", Secret("s3cret"), Secret("t0ken")), NOW + 3600)


def sts(action: str) -> dict[str, object]:
    keys = {"AccessKeyId": "ASIA1", "SecretAccessKey": "s3cret", "SessionToken": "t0ken", "Expiration": NOW + 3600}
    return {f"{action}Response": {f"{action}Result": {"Credentials": keys}}}


def minted(service: TokenService, source: AwsSource, environ: dict[str, str] | None = None) -> Minted:
    return run(mint(source, service.machine(environ)))


def test_role_is_assumed_with_a_signed_request() -> None:
    service = TokenService({STS: [(200, sts("AssumeRole"))]})
    assert minted(service, AwsSource(OWN, ROLE, "eu-west-1")) == TEMPORARY
    (asked,) = service.asked
    assert (asked.form["Action"], asked.form["RoleArn"]) == ("AssumeRole", ROLE)
    scope = "Credential=AKIA1/20270115/eu-west-1/sts/aws4_request"
    assert asked.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=content-type;host;")
    assert "own-secret" not in str(asked.headers) + asked.body.decode()


@pytest.mark.parametrize(
    "body",
    [
        {"Error": {"Code": "AccessDenied", "Message": "…"}},
        b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
    ],
)
def test_refused_role_names_the_reason_and_the_remedy(body: object) -> None:
    expected = rf"status 403 \(AccessDenied\); check the keys, and whether they may assume {ROLE}"
    with pytest.raises(RefusedError, match=expected):
        minted(TokenService({STS: [(403, body)]}), AwsSource(OWN, ROLE, "eu-west-1"))


def test_token_of_another_service_needs_no_signature() -> None:
    service = TokenService({"https://sts.cn-north-1.amazonaws.com.cn/": [(200, sts("AssumeRoleWithWebIdentity"))]})
    assert run(by_web_identity("eyJ.web", {"RoleArn": ROLE}, "cn-north-1", service.machine())) == TEMPORARY
    assert service.asked[0].form["RoleSessionName"] == "pointsman"
    assert "authorization" not in service.asked[0].headers


def test_address_of_the_service_may_be_another_one() -> None:
    service = TokenService({"http://127.0.0.1:4566/": [(200, sts("AssumeRole"))]})
    environ = {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:4566"}
    assert minted(service, AwsSource(OWN, ROLE, "eu-west-1"), environ) == TEMPORARY
    with pytest.raises(RefusedError, match="AWS_ENDPOINT_URL_STS is not valid: the address must begin with https"):
        minted(service, AwsSource(OWN, ROLE, "eu-west-1"), {"AWS_ENDPOINT_URL_STS": "sts.test"})


@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), (200, {"AssumeRoleResponse": {}})])
def test_other_answers_are_faults_that_may_pass(answer: tuple[int, object]) -> None:
    with pytest.raises(UnavailableError):
        minted(TokenService({STS: [answer]}), AwsSource(OWN, ROLE, "eu-west-1"))


def test_refused_web_identity_names_its_token() -> None:
    with pytest.raises(RefusedError, match="check the web identity token, and whether it may assume arn:"):
        run(by_web_identity("t", {"RoleArn": ROLE}, "eu-west-1", TokenService({STS: [(403, b"")]}).machine()))
