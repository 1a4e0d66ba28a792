"""The anchor of the audit log: the end of its chain, under a keyed digest, in a file outside the database.

The file has two ends. Before a transaction that writes records is committed, its end is written as `next`; after it,
as `settled`. So the chain in the store ends at one of them at any time, and after a crash between the two writes either
is the truth. Everything else is a fault: a chain that is shorter, longer, or has other hashes.

A fault stays in the file, under the digest too, until an owner accepts the chain as it is.
"""

import hmac
import secrets
from hashlib import sha256
from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError, json
from msgspec.structs import replace

from pointsman.config.sealing import MasterKeys, SealError
from pointsman.config.whole_file import write_whole
from pointsman.domain.audit import ChainEnd

FILE = "audit-anchor"  # in the data folder
OWN_KEY = "audit-key"  # in the data folder, of a gateway without a master key
OWN = "own"
_PURPOSE = b"pointsman audit anchor v1"


class AnchorError(Exception):
    """The anchor cannot be read or written. The message has the reason."""


class AnchorState(Struct, frozen=True, kw_only=True):
    """The content of the file. `key` is the id of the key, and `fault` the first fault that was found."""

    settled: ChainEnd = ChainEnd()
    next: ChainEnd | None = None
    fault: str = ""
    key: str = ""
    digest: str = ""

    def fault_of(self, end: ChainEnd) -> str:
        """Return what is wrong with a chain that ends like this, or an empty text."""
        if self.fault:
            return self.fault
        if end in (self.settled, self.next):
            return ""
        known = f"the anchor has {self.settled.number} records"
        if end.number < self.settled.number:
            return f"{known}, and the store {end.number}: the last ones were removed, or the store is an older copy"
        if end.number > (self.next or self.settled).number:
            return f"{known}, and the store {end.number}: records were added, or the anchor is an older copy"
        return "the last record is not the one of the anchor: the chain was computed anew"


class AnchorFile:
    """The file in a data folder. Its key is derived from the first master key. A gateway without one makes a key of
    its own. Methods raise `AnchorError`."""

    def __init__(self, data_dir: Path, master_keys: MasterKeys) -> None:
        self.path = data_dir / FILE
        self._own_key = data_dir / OWN_KEY
        self._master_keys = master_keys

    def read(self) -> AnchorState | None:
        """Return the content, or `None` if there is no file."""
        try:
            data = self.path.read_bytes()
            state = json.decode(data, type=AnchorState)
            if json.encode(state) != data:  # such as a field of another name, which would be left out
                raise AnchorError(f"{self.path} is damaged")
        except FileNotFoundError:
            return None
        except (DecodeError, ValidationError, UnicodeDecodeError):
            raise AnchorError(f"{self.path} is damaged") from None
        except OSError as error:
            raise AnchorError(f"{self.path} cannot be read: {error.strerror}") from None
        key = self._keys().get(state.key)
        if key is None:
            raise AnchorError(f"{self.path} was made with the key {state.key[:16]!r}, which is not here")
        if not hmac.compare_digest(_digest(state, key).encode(), state.digest.encode()):
            raise AnchorError(f"{self.path} was changed: its digest does not fit")
        return state

    def write(self, state: AnchorState) -> None:
        """Replace the content durably, under the first key."""
        keys = self._keys() or self._made()
        id_ = next(iter(keys))
        state = replace(state, key=id_, digest="")
        try:
            write_whole(self.path, json.encode(replace(state, digest=_digest(state, keys[id_]))))
        except OSError as error:
            raise AnchorError(f"{self.path} cannot be written: {error.strerror}") from None

    def _keys(self) -> dict[str, bytes]:
        """Return the keys by id. Once there is a master key that the gateway did not make itself, no key in the data
        folder counts: else whoever writes there could choose one."""
        try:
            self._master_keys.reread()
            found = self._master_keys.derived(_PURPOSE)
        except SealError as error:
            raise AnchorError(str(error)) from None
        if not found or self._master_keys.is_own:
            try:
                found = {**found, OWN: self._own_key.read_bytes()}
            except FileNotFoundError:
                pass
            except OSError as error:
                raise AnchorError(f"{self._own_key} cannot be read: {error.strerror}") from None
        return found

    def _made(self) -> dict[str, bytes]:
        key = secrets.token_bytes(32)
        try:
            write_whole(self._own_key, key)
        except OSError as error:
            raise AnchorError(f"{self._own_key} cannot be written: {error.strerror}") from None
        return {OWN: key}


def fault_at_the_end(state: AnchorState | None, end: ChainEnd) -> str:
    """Return what is wrong with the end of a chain, or an empty text."""
    if state is None:
        return f"the anchor is missing, and the store has {end.number} records" if end.number else ""
    return state.fault_of(end)


def _digest(state: AnchorState, key: bytes) -> str:
    return hmac.new(key, json.encode(replace(state, digest="")), sha256).hexdigest()
