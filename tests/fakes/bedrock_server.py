"""A Bedrock on loopback, which checks the signature and the shape of each request, and keeps the requests."""

import json
from datetime import UTC, datetime
from time import time
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from fakes.amazon_model import problems_of_request
from fakes.bedrock import STREAM_TYPE
from fakes.origin import Peer

OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream"}
ACCESS_KEY, SECRET_KEY, API_KEY = "AKIDOFTHETESTS", "secret-key-of-the-tests/0123456789", "ABSK-api-key-of-the-tests"
REGION = "eu-central-1"
MAX_AGE_S = 300.0


class BedrockServer:
    """Answers by `answers`: the body of an answer or of a stream, for the last part of a path. `error` is sent instead,
    as a status and an exception, if it is set."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.error: tuple[int, str, str] | None = None
        self.paths: list[str] = []
        self.bodies: list[Any] = []

    async def script(self, peer: Peer) -> None:
        while True:
            head, _, body = (await peer.request()).partition(b"\r\n\r\n")
            line, *lines = head.decode().split("\r\n")
            method, target, _ = line.split(" ")
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
            status, kind, answer = self._answer(method, target, headers, body)
            named = f"x-amzn-errortype: {kind}:http://internal.amazon.com/\r\n" if status != 200 else ""
            shown = "application/json" if status != 200 or not target.endswith("stream") else STREAM_TYPE.decode()
            length = f"content-type: {shown}\r\ncontent-length: {len(answer)}\r\n"
            peer.send(f"HTTP/1.1 {status} X\r\n{named}{length}\r\n".encode(), answer)

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        fault = fault_of_credential(method, target, headers, body)
        if fault:
            return 403, fault, json.dumps({"message": "The request is not authentic."}).encode()
        _, collection, model, operation = target.split("/")
        assert collection == "model"
        given = json.loads(body)
        if operation in OPERATIONS:
            problems = problems_of_request(given, OPERATIONS[operation], unquote(model))
            if problems:
                return 400, "ValidationException", json.dumps({"message": problems}).encode()
        self.paths.append(unquote(target))
        self.bodies.append(given)
        if self.error is not None:
            status, kind, message = self.error
            return status, kind, json.dumps({"message": message}).encode()
        return 200, "", self.answers[operation]


def fault_of_credential(method: str, target: str, headers: dict[str, str], body: bytes) -> str:
    """Return Amazon's name of what is wrong with a credential; an empty text if nothing is."""
    given = headers.get("authorization", "")
    if given.startswith("Bearer "):
        return "" if given == f"Bearer {API_KEY}" else "UnrecognizedClientException"
    if not given.startswith("AWS4-HMAC-SHA256 "):
        return "MissingAuthenticationTokenException"
    parts = dict(part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    key, _, region, service, _ = parts["Credential"].split("/")
    if key != ACCESS_KEY:
        return "UnrecognizedClientException"
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(time() - at.timestamp()) > MAX_AGE_S or (region, service) != (REGION, "bedrock"):
        return "InvalidSignatureException"
    signed = {name: headers[name] for name in parts["SignedHeaders"].split(";") if not name.startswith("x-amz-")}
    request = AWSRequest(method=method, url=f"http://{headers['host']}{target}", data=body, headers=signed)
    with patch.object(auth, "get_current_datetime", lambda: at):
        auth.SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), service, region).add_auth(request)
    expected = request.headers["Authorization"].rpartition("Signature=")[2]
    return "" if parts["Signature"] == expected else "InvalidSignatureException"
