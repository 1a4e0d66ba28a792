"""Keys for requests of control itself, whose tokens are fetched for the moment.

Workers have tokens of their own and renew them. Control needs one only now and then, so it keeps none.
"""

import asyncio

from pointsman.control.fetch import AnswerError
from pointsman.domain.failures import Failure
from pointsman.domain.targets import Endpoint, ProviderKey
from pointsman.engine.credentials import FIRST_S, Credentials, Found
from pointsman.engine.upstreams import Upstreams
from pointsman.transport.deadlines import Deadlines


async def concrete(endpoint: Endpoint, key: ProviderKey) -> ProviderKey:
    """Return the key with a credential that a codec can use. Raises `AnswerError` if its token cannot be fetched."""
    if key.is_concrete:
        return key
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    credentials = Credentials()
    credentials.upstreams = upstreams = Upstreams(loop, deadlines)
    found: asyncio.Future[Found] = loop.create_future()

    def then(one: Found) -> None:
        if not found.done():
            found.set_result(one)

    try:
        credentials.use(endpoint, key, FIRST_S, then)
        usable = await found
    finally:
        credentials.close()
        await upstreams.close()
        deadlines.close()
    if isinstance(usable, Failure):
        raise AnswerError(usable.message)
    return usable
