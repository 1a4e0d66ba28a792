"""Prompts are counted in a thread, by a tokenizer that loads without blocking the event loop."""

import asyncio
import subprocess
import sys
from pathlib import Path

from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.engine.counting import PromptCounter, counted
from pointsman.engine.tasks import EagerTask

PROSE = (Path(__file__).parents[3] / "LICENSE").read_text()
CALL = parse({"model": "m", "messages": [{"role": "user", "content": PROSE}]})


class Stopped(Exception):  # noqa: N818
    """The exception that cancels a task."""


async def count_in_thread(prompts: PromptCounter, call: Call) -> Call:
    found: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

    async def count() -> None:
        found.set_result(await prompts.count(call))

    EagerTask(count(), Stopped).resume()
    return await found


def test_count_of_a_thread_is_that_of_the_caller() -> None:
    async def main() -> None:
        prompts = PromptCounter()
        assert (await count_in_thread(prompts, CALL)).text_tokens == counted(CALL).text_tokens
        assert prompts.counted == 1
        prompts.close()

    asyncio.run(main())


def test_tokenizer_is_loaded_by_the_first_count() -> None:
    program = (
        "import sys; import pointsman.engine.handle; from pointsman.engine.counting import _count;"
        "assert 'toktok' not in sys.modules; _count(['x']); assert 'toktok' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_other_threads_run_while_the_tokenizer_loads() -> None:
    program = """
import threading, time
from pointsman.engine.counting import _count
loading = threading.Thread(target=_count, args=(["x"],))
turns = 0
loading.start()
while loading.is_alive():
    time.sleep(0.001)
    turns += 1
print(turns)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert int(done.stdout) >= 10, "the lock of the interpreter was held: with it, there are one or two"
