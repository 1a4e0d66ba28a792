"""Keys of issuers are read in the background, kept while the issuer is away, and dropped when they are too old."""

import asyncio
from pathlib import Path
from time import monotonic

from fakes.issuer import key_set, new_key
from integration.gateway import run, until
from pointsman.domain.callers import KeySource
from pointsman.domain.network import Network
from pointsman.engine.key_sets import KeysError, KeySets

KEY = new_key("one", "EC")


class Scripted(KeySets):
    """Key sets whose issuer answers with `content`, or fails without one. Time can be moved."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        super().__init__(lambda: monotonic() + self.passed_s, least_s=0.0)
        self.content: bytes | None = key_set(KEY).encode()
        self.reads = 0
        self.changes = 0
        self.on_changed = self.note

    def note(self) -> None:
        self.changes += 1

    async def read(self, source: KeySource) -> bytes:
        self.reads += 1
        if self.content is None:
            raise KeysError("away")
        return self.content


def source(path: str = "") -> KeySource:
    issuer = "https://issuer.example"
    return KeySource(
        issuer=issuer, url=f"{issuer}/keys", path=path, network=Network(), refresh_s=300.0, max_age_s=3600.0
    )


def test_keys_are_kept_until_they_are_too_old() -> None:
    async def main() -> None:
        sets, one = Scripted(), source()
        sets.swap([one])
        assert sets.find(one) is None
        await until(lambda: sets.find(one), "the keys have been read")
        sets.content, reads = None, sets.reads
        sets.doubt(one)
        await until(lambda: sets.reads > reads, "the issuer was asked")
        assert sets.find(one)
        sets.passed_s, reads = 3600.0, sets.reads
        sets.doubt(one)
        await until(lambda: sets.find(one) is None, "the keys are too old")
        assert sets.changes == 2
        sets.content = key_set(KEY).encode()
        sets.doubt(one)
        await until(lambda: sets.find(one), "the issuer is back")
        sets.close()
        assert sets.find(one) is None

    run(main())


def test_equal_keys_are_no_change_and_faulty_ones_replace_nothing() -> None:
    async def main() -> None:
        sets, one = Scripted(), source()
        sets.swap([one, source()])
        await until(lambda: sets.find(one), "the keys have been read")
        before, changes = sets.find(one), sets.changes
        for content in (sets.content, b"<html>", b'{"keys": []}'):
            sets.content, reads = content, sets.reads
            sets.doubt(one)
            await until(lambda reads=reads: sets.reads > reads, "the issuer was asked")  # type: ignore[misc]
            await asyncio.sleep(0)
            assert sets.find(one) is before
        assert sets.changes == changes
        sets.close()

    run(main())


def test_missing_file_is_reported_and_read_later(tmp_path: Path) -> None:
    async def main() -> None:
        sets, one = KeySets(least_s=0.0), source(str(tmp_path / "keys.json"))
        sets.swap([one])
        await asyncio.sleep(0.05)
        assert sets.find(one) is None
        (tmp_path / "keys.json").write_text(key_set(KEY))
        await until(lambda: sets.find(one), "the file has been read")
        sets.close()

    run(main())
