"""Measurements of the machine's own delays during a test, and of the longest busy turn of a loop."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Two processes exchange one byte every few milliseconds until the input ends, and do nothing else.
_PING_PONG = """
import os, select, socket, sys, time
here, there = socket.socketpair()
if os.fork() == 0:
    here.close()
    while data := there.recv(1):
        there.send(data)
    os._exit(0)
there.close()
worst_s = 0.0
while not select.select([sys.stdin], [], [], 0.0)[0]:
    due = time.monotonic() + 0.005
    time.sleep(0.005)
    here.send(b"x")
    here.recv(1)
    worst_s = max(worst_s, time.monotonic() - due)
print(worst_s)
"""


class Lag:
    """The delay of otherwise idle processes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._worst_s: float | None = None

    async def worst_s(self) -> float:
        """Stop measuring, and return the longest time that one process took to wake up, wake the other, and get its
        reply."""
        if self._worst_s is None:
            output, _ = await self._process.communicate(b"")
            self._worst_s = float(output)
        return self._worst_s


@asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    """Measure the machine's delay during the block."""
    pipe = asyncio.subprocess.PIPE
    found = Lag(await asyncio.create_subprocess_exec(sys.executable, "-SEc", _PING_PONG, stdin=pipe, stdout=pipe))
    try:
        yield found
    finally:
        await found.worst_s()


class LongestTurn:
    """The longest busy time of a loop between two turns, in CPU time of its thread, so that other processes do not
    count."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.thread_time() - before)
