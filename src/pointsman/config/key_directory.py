"""Very many virtual keys in one block of bytes that is searched as it lies: opening it costs the same however many
there are, and processes that map the same file share its memory.

    magic, u32 format, 32 bytes SHA-256 of all that follows
    u32 shards, u64 keys, u64 length of the policies
    (shards + 1) u64 offsets into the entries by digest, the same by name
    policies       msgpack: a list of JSON objects, what a key's entry says besides its name and value; each once
    by digest      msgpack maps {digest: [name, number of the policy]}, one for each shard
    by name        msgpack maps {name: [digest, number of the policy]}, one for each shard

A shard is found by the first bytes of a digest, or by the CRC-32 of a name.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

FORMAT = 1
SHARD_KEYS = 16  # keys in a shard, about

_MAGIC = b"PMKEYS\r\n"
_HEAD = struct.Struct("<8sI32s")
_SIZES = struct.Struct("<IQQ")
_OFFSET = struct.Struct("<QQ")
_BY_DIGEST = msgspec.msgpack.Decoder(dict[bytes, tuple[str, int]])
_BY_NAME = msgspec.msgpack.Decoder(dict[str, tuple[bytes, int]])


class DirectoryError(ValueError):
    """Not a directory of keys, a newer version's, or a damaged one. The message says which."""


class Entry(Struct, frozen=True):
    """One key. `policy` is the number of what its entry says besides name and value."""

    name: str
    digest: bytes
    policy: int


def pack(entries: Iterable[Entry], policies: list[bytes]) -> bytes:
    """The bytes of a directory. Digests are unique; of several entries with one name, the last is found by it."""
    known = list(entries)
    shards = max(1, len(known) // SHARD_KEYS)
    by_digest: list[dict[bytes, tuple[str, int]]] = [{} for _ in range(shards)]
    by_name: list[dict[str, tuple[bytes, int]]] = [{} for _ in range(shards)]
    for entry in known:
        by_digest[_digest_shard(entry.digest, shards)][entry.digest] = (entry.name, entry.policy)
        by_name[_name_shard(entry.name, shards)][entry.name] = (entry.digest, entry.policy)
    encode = msgspec.msgpack.Encoder().encode
    blocks = [[encode(shard) for shard in index] for index in (by_digest, by_name)]
    said = encode(policies)
    tables = b"".join(struct.pack(f"<{shards + 1}Q", *_ends(index)) for index in blocks)
    body = b"".join([_SIZES.pack(shards, len(known), len(said)), tables, said, *blocks[0], *blocks[1]])
    return _HEAD.pack(_MAGIC, FORMAT, sha256(body).digest()) + body


class KeyDirectory:
    """Keys by digest and by name. `data` stays as it is while this lives."""

    def __init__(self, data: "bytes | mmap.mmap") -> None:
        """Raises `DirectoryError`."""
        if len(data) < _HEAD.size or data[: len(_MAGIC)] != _MAGIC:
            raise DirectoryError("is not a directory of virtual keys")
        _, version, checksum = _HEAD.unpack_from(data)
        if version != FORMAT:
            raise DirectoryError(f"has format {version}, this version reads {FORMAT}")
        with memoryview(data) as view, view[_HEAD.size :] as body:
            if sha256(body).digest() != checksum:
                raise DirectoryError("is damaged")
        self.data = data
        self.digest = checksum.hex()
        shards, self._count, policy_bytes = _SIZES.unpack_from(data, _HEAD.size)
        self._shards = shards
        table = _OFFSET.size // 2 * (shards + 1)
        first = _HEAD.size + _SIZES.size
        self._tables = (first, first + table)
        policies = first + 2 * table
        self.policies: list[bytes] = msgspec.msgpack.decode(data[policies : policies + policy_bytes], type=list[bytes])
        first = policies + policy_bytes
        (length,) = struct.unpack_from("<Q", data, self._tables[0] + table - _OFFSET.size // 2)
        self._blocks = (first, first + length)

    @classmethod
    def open(cls, path: Path) -> "KeyDirectory":
        """Map a file. Raises `OSError` and `DirectoryError`."""
        with path.open("rb") as file:
            try:
                data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            except ValueError:  # an empty file
                raise DirectoryError(f"{path} is not a directory of virtual keys") from None
        try:
            return cls(data)
        except DirectoryError as error:
            data.close()
            raise DirectoryError(f"{path} {error}") from None

    def __len__(self) -> int:
        return int(self._count)

    def __iter__(self) -> Iterator[Entry]:
        for number in range(self._shards):
            for digest, (name, policy) in _BY_DIGEST.decode(self._block(0, number)).items():
                yield Entry(name, digest, policy)

    def find(self, digest: bytes) -> Entry | None:
        """The key with this digest."""
        found = _BY_DIGEST.decode(self._block(0, _digest_shard(digest, self._shards))).get(digest)
        return Entry(found[0], digest, found[1]) if found is not None else None

    def named(self, name: str) -> Entry | None:
        """The key with this name."""
        found = _BY_NAME.decode(self._block(1, _name_shard(name, self._shards))).get(name)
        return Entry(name, *found) if found is not None else None

    def _block(self, index: int, shard: int) -> bytes:
        start, end = _OFFSET.unpack_from(self.data, self._tables[index] + shard * (_OFFSET.size // 2))
        first = self._blocks[index]
        return self.data[first + start : first + end]


def _ends(blocks: list[bytes]) -> list[int]:
    """Where each block begins, and where the last ends."""
    ends = [0]
    for block in blocks:
        ends.append(ends[-1] + len(block))
    return ends


def _digest_shard(digest: bytes, shards: int) -> int:
    return int.from_bytes(digest[:4], "big") % shards


def _name_shard(name: str, shards: int) -> int:
    return crc32(name.encode()) % shards
