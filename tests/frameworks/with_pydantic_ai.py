"""Pydantic AI, which takes the address from its environment. Argument: the prefix of the model, such as `openai`."""

import asyncio
import sys

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput

MODEL = f"{sys.argv[1]}:coder"


class Person(BaseModel):
    name: str
    age: int


async def main() -> None:
    agent = Agent(MODEL)

    @agent.tool_plain
    def read_file(path: str) -> str:
        """Read a file."""
        return f"{path} says buy milk"

    print((await agent.run("say cheese")).output)
    async with agent.run_stream("say cheese") as stream:
        print(await stream.get_output())
    print((await agent.run('use read_file with {"path": "notes.txt"}')).output)
    ann = '{"name": "Ann", "age": 42}'
    print(repr((await Agent(MODEL, output_type=Person).run(f"use final_result with {ann}")).output))
    if sys.argv[1] != "anthropic":  # Pydantic AI does not know whether a model of this name has such outputs
        assert (await Agent(MODEL, output_type=NativeOutput(Person)).run(f"say {ann}")).output.age == 42


asyncio.run(main())
