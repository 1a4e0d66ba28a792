"""An HTTP/1.1 server and client, built directly on asyncio protocols, uvloop and httptools.

Both call back their users: a request costs no task and no future. `pointsman.engine` builds awaitable interfaces on
them.
"""
