"""How late this machine is by itself, while something is measured on it, and how long a loop is kept busy."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Two processes that do nothing but hand each other a byte, every few milliseconds, until the input ends.
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
    """Of processes that have nothing else to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._worst_s: float | None = None

    async def worst_s(self) -> float:
        """The longest that one took to wake up, wake the other and hear from it. Ends the watching."""
        if self._worst_s is None:
            said, _ = await self._process.communicate(b"")
            self._worst_s = float(said)
        return self._worst_s


@asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    """Watch how late the machine is meanwhile."""
    pipe = asyncio.subprocess.PIPE
    found = Lag(await asyncio.create_subprocess_exec(sys.executable, "-SEc", _PING_PONG, stdin=pipe, stdout=pipe))
    try:
        yield found
    finally:
        await found.worst_s()


class LongestTurn:
    """The longest that the loop was busy between two of its turns, in CPU time of its thread: what others do on this
    machine does not count."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.thread_time() - before)
