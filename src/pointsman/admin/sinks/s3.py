"""Records as objects in a store with the API of Amazon S3.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

import gzip
from collections.abc import Sequence
from hashlib import sha256
from time import gmtime, strftime, time
from urllib.parse import quote

from pointsman.admin.delivery import DeliveryError, RecipientClient, Sent, sent_by
from pointsman.admin.following import Message
from pointsman.control.inquiries.sinks import SinkState
from pointsman.control.recipients import Recipient
from pointsman.domain.origin import AwsKeys, Secret
from pointsman.providers.api import SigningScope, UnsignedRequest, signature_lines
from pointsman.transport.fetch import Fetched

_HELP = {
    403: "the store does not accept the access key; check its permissions, the region, and the clock of this machine",
    404: "the store does not know the bucket; create it, or correct its name",
    301: "the bucket is in another region; correct `region`",
    307: "the bucket is in another region; correct `region`",
}


class ObjectSink:
    """Puts an object for each message. The key of an object is that of its records, so a message that is sent again
    replaces its object. `path` is the bucket and the beginning of the keys."""

    def __init__(self, recipient: Recipient, path: str, keys: AwsKeys, region: str) -> None:
        self._client = RecipientClient(recipient)
        self._recipient = recipient
        self._path = path
        self._keys = keys
        self._scope = SigningScope(region, "s3")

    def encode(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        return gzip.compress(b"".join(line + b"\n" for line in lines), 6, mtime=0), len(lines)

    async def send(self, message: Message) -> Sent:
        key = f"{strftime('%Y/%m/%d', gmtime(message.at))}/{message.name}.jsonl.gz"
        headers = (("content-type", "application/x-ndjson"),)
        return _read(await self._request("PUT", self._path + key, message.body, headers), message.count)

    async def test(self) -> None:
        """Request the head of the bucket. A key without the permission to list it may put objects nevertheless."""
        bucket = "/" + self._path.split("/")[1]
        answer = await self._request("HEAD", bucket, b"")
        if answer.status != 403:
            _read(answer, 0)

    async def close(self) -> None:
        await self._client.close()

    async def _request(self, method: str, path: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Fetched:
        target = quote(self._recipient.path + path, safe="/-._~")
        digest = (("x-amz-content-sha256", sha256(body).hexdigest()),)
        unsigned = UnsignedRequest(method, self._recipient.origin.authority, target, body, (*headers, *digest))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii")
        lines += signature_lines(unsigned, self._keys, self._scope, time())
        return await self._client.send(method.encode("ascii"), target.encode("ascii"), lines, body)


def _read(answer: Fetched, count: int) -> Sent:
    """Return the end of a message. Raises `DeliveryError`."""
    if answer.status in _HELP:
        raise DeliveryError(f"status {answer.status}: {_HELP[answer.status]}")
    if answer.status == 400:  # of a clock that is wrong, or a setting: the next try may succeed
        raise DeliveryError("status 400: the store rejects the request; check `region`, `bucket` and `url`")
    return sent_by(answer, count)


def _open(state: SinkState) -> ObjectSink:
    assert state.recipient is not None
    keys = AwsKeys(state.key_id, Secret(state.secrets[0]))
    return ObjectSink(state.recipient, state.path, keys, state.region)


OPEN = _open
