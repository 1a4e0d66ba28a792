"""A store of objects that accepts a request only if botocore computes the same signature for it."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec import Struct

from fakes.receiver import FakeReceiver, Received, receiving

KEY_ID, SECRET, REGION = "AKIDEXAMPLE", "canary-of-the-store", "eu-central-1"
_SIGNED = ("content-type", "x-amz-content-sha256", "x-amz-date")


class FakeObjectStore(Struct):
    """The objects by their keys. `receiver` fails on demand."""

    receiver: FakeReceiver

    @property
    def objects(self) -> dict[str, bytes]:
        return {one.target: one.body for one in self.receiver.received if one.method == "PUT"}

    @property
    def records(self) -> list[dict[str, Any]]:
        lines = [line for body in self.objects.values() for line in gzip.decompress(body).splitlines()]
        return [json.loads(line) for line in lines]


@contextmanager
def storing() -> Iterator[FakeObjectStore]:
    with receiving() as receiver:
        receiver.check = lambda request: 200 if is_signed(request, receiver.port) else 403
        yield FakeObjectStore(receiver)


def is_signed(request: Received, port: int) -> bool:
    """Return whether a request has the signature, and the digest of its body."""
    headers = request.headers
    if headers.get("x-amz-content-sha256") != sha256(request.body).hexdigest():
        return False
    url = f"http://127.0.0.1:{port}{request.target}"
    given = {name: headers[name] for name in _SIGNED if name in headers}
    expected = AWSRequest(request.method, url, headers=given, data=request.body)
    expected.context["timestamp"] = headers["x-amz-date"]
    expected.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", REGION)
    canonical = auth.canonical_request(expected)
    signature = auth.signature(auth.string_to_sign(expected, canonical), expected)
    return headers.get("authorization", "").endswith(f"Signature={signature}")
