"""Sockets: an HTTP/1.1 server and client on asyncio protocols, uvloop and httptools, with nothing between.

Both sides are callback-driven: a request costs no task and no future. What may be awaited is built on top, in
`pointsman.engine`.
"""
