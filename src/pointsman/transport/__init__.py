"""Sockets: an HTTP/1.1 server and client on asyncio protocols, uvloop and httptools, without layers between.

Both sides are callback-driven: a request costs no task and no future. Awaitable interfaces are built on top, in
`pointsman.engine`.
"""
