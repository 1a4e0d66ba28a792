"""Child keys that clients request from a worker: control's answer."""

import logging

import msgspec

from pointsman.control.keys import KeyBook, KeyRejectedError
from pointsman.control.store.database import StoreError
from pointsman.domain import failures
from pointsman.domain.identity import KeysUnavailableError
from pointsman.link.frames import KeyMade, MakeKey

_CODES = {
    kind.code: kind.code for kind in (failures.INVALID_REQUEST, failures.RATE_LIMITED, failures.CHILD_KEY_NOT_ALLOWED)
}
_UNAVAILABLE = failures.CONTROL_UNAVAILABLE.code
_logger = logging.getLogger(__name__)


class ChildAnswers:
    """Makes child keys for the clients of workers."""

    def __init__(self, keys: KeyBook) -> None:
        self._keys = keys

    async def answer(self, frame: MakeKey) -> KeyMade:
        """Make a child. Return the answer for its client, with the value of the key."""
        number = frame.number
        try:
            made, expires_at = await self._keys.make_child(frame.parent, frame.body)
        except KeyRejectedError as error:
            param = error.faults[0].field if error.faults else None
            return KeyMade(number, code=_CODES.get(error.code, _UNAVAILABLE), message=str(error), param=param)
        except (StoreError, KeysUnavailableError) as error:
            _logger.warning("a child of %s cannot be made now: %s", frame.parent, error)
            return KeyMade(number, code=_UNAVAILABLE, message="keys cannot be made now; retry later")
        except Exception:  # the client must not wait for an answer
            _logger.exception("a child of %s cannot be made", frame.parent)
            return KeyMade(number, code=failures.INTERNAL.code, message="the gateway failed; see its log")
        name = msgspec.json.decode(made.row)["name"]
        body = {"object": "virtual_key", "name": name, "key": made.value, "parent": frame.parent}
        return KeyMade(number, msgspec.json.encode({**body, "expires_at": expires_at}))
