"""Signatures of requests to AWS, with botocore's signer as the oracle."""

from base64 import b64encode
from datetime import UTC, datetime
from random import Random
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec.structs import replace

from pointsman.domain.origin import AwsKeys, Secret
from pointsman.providers._sigv4 import MAX_SIGNING_KEYS, SigningKeys, SigningScope, UnsignedRequest, signature_lines

REQUESTS = [300, pytest.param(10_000, marks=pytest.mark.slow)]
NOW = 1_790_000_000.75
SCOPE = SigningScope("eu-central-1", "bedrock")


KEYS = AwsKeys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))


def oracle(request: UnsignedRequest, keys: AwsKeys, scope: SigningScope, now_unix_s: float) -> dict[str, str]:
    """Return the headers that botocore adds to a request."""
    given = AWSRequest(
        method=request.method,
        url=f"https://{request.host}{request.target}",
        data=request.body,
        headers={"Host": request.host, **dict(request.headers)},
    )
    token = keys.session_token.reveal() if keys.session_token is not None else None
    credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal(), token)
    with patch.object(auth, "get_current_datetime", lambda: datetime.fromtimestamp(now_unix_s, UTC)):
        auth.SigV4Auth(credentials, scope.service, scope.region).add_auth(given)
    names = {name for name, _ in request.headers} | {"host"}
    return {name.lower(): value for name, value in given.headers.items() if name.lower() not in names}


def headers_in(lines: bytes) -> dict[str, str]:
    assert lines.endswith(b"\r\n")
    parts = [line.partition(": ") for line in lines.decode("ascii").removesuffix("\r\n").split("\r\n")]
    return {name: value for name, _, value in parts}


SEGMENT = "abzAZ09-_.~%:/ ;=@$!*()'+,[]\u00fc"
WORD = "abcxyz0189-"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def drawn(dice: Random) -> tuple[UnsignedRequest, AwsKeys, SigningScope, float]:
    """Return a random request, with keys, a scope and a time."""

    def text(letters: str, least: int, most: int) -> str:
        return "".join(dice.choices(letters, k=dice.randint(least, most)))

    segments = [quote(text(SEGMENT, 0, 12), safe="~:.") for _ in range(dice.randint(0, 5))]
    pairs = [
        (quote(text(SEGMENT, 0, 9), safe="~"), quote(text(SEGMENT, 0, 9), safe="~")) for _ in range(dice.randint(0, 4))
    ]
    query = "&".join("=".join(pair) for pair in pairs)
    names = {f"x-{text(WORD, 1, 9)}" for _ in range(dice.randint(0, 3))}
    headers = [(name, "  ".join(text(VISIBLE, 1, 9) for _ in range(dice.randint(1, 3)))) for name in sorted(names)]
    request = UnsignedRequest(
        method=dice.choice(["GET", "POST", "PUT", "DELETE"]),
        host=dice.choice(["bedrock-runtime.us-east-1.amazonaws.com", "127.0.0.1:8443", "vpce-1.example"]),
        target="/" + "/".join(segments) + (f"?{query}" if query else ""),
        body=dice.randbytes(dice.randint(0, 60)),
        headers=tuple(headers),
    )
    token = Secret(text(VISIBLE, 1, 40)) if dice.random() < 0.5 else None
    keys = AwsKeys(text(WORD, 1, 20), Secret(text(VISIBLE, 1, 40)), token)
    return request, keys, SigningScope(text(WORD, 1, 14), text(WORD, 1, 14)), dice.uniform(946_684_800, 4_000_000_000)


@pytest.mark.parametrize("count", REQUESTS)
def test_signature_is_that_of_botocore(count: int) -> None:
    for seed in range(count):
        request, keys, scope, now_unix_s = drawn(Random(seed))
        kept: SigningKeys = {}
        lines = signature_lines(request, keys, scope, now_unix_s, kept)
        assert headers_in(lines) == oracle(request, keys, scope, now_unix_s), f"seed {seed}"
        assert signature_lines(request, keys, scope, now_unix_s, kept) == lines


@pytest.mark.parametrize(
    ("target", "signed"),
    [
        ("/model/anthropic.claude-v2%3A1/invoke", "/model/anthropic.claude-v2%253A1/invoke"),
        ("/model/a%2Fb/converse", "/model/a%252Fb/converse"),
        ("//model/./x/../y/", "/model/y/"),
        ("/..", "/"),
    ],
)
def test_path_is_encoded_once_more(target: str, signed: str) -> None:
    request = UnsignedRequest("POST", "h", target, b"{}")
    given = AWSRequest(method="POST", url=f"https://h{target}", data=b"{}")
    credentials = Credentials("a", "b")
    given.context["timestamp"] = "20260101T000000Z"
    canonical = auth.SigV4Auth(credentials, "bedrock", "r").canonical_request(given)
    assert canonical.split("\n")[1] == signed
    found = headers_in(signature_lines(request, KEYS, SCOPE, NOW))
    assert found == oracle(request, KEYS, SCOPE, NOW)


def test_signing_key_is_derived_once_a_day_and_region() -> None:
    kept: SigningKeys = {}
    request = UnsignedRequest("POST", "h", "/", b"")
    for second in (0, 1, 2):
        signature_lines(request, KEYS, SCOPE, NOW + second, kept)
    assert len(kept) == 1
    signature_lines(request, KEYS, SigningScope("us-east-1", "bedrock"), NOW, kept)
    signature_lines(request, KEYS, SCOPE, NOW + 86_400, kept)
    signature_lines(request, replace(KEYS, access_key_id="other"), SCOPE, NOW, kept)
    assert len(kept) == 4
    for number in range(MAX_SIGNING_KEYS):
        signature_lines(request, KEYS, SigningScope(f"r{number}", "bedrock"), NOW, kept)
    assert len(kept) <= MAX_SIGNING_KEYS


def test_secret_is_in_no_line() -> None:
    lines = signature_lines(UnsignedRequest("POST", "h", "/", b""), KEYS, SCOPE, NOW)
    secret = KEYS.secret_access_key.reveal().encode()
    assert secret not in lines
    assert b64encode(secret) not in lines
    assert b"x-amz-security-token" not in lines
