"""OpenAI's Agents SDK, which takes the address from its environment."""

import asyncio

from agents import Agent, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


@function_tool
def read_file(path: str) -> str:
    """Read a file."""
    return f"{path} says buy milk"


async def main() -> None:
    set_tracing_disabled(disabled=True)  # it would call OpenAI
    agent = Agent(name="reader", instructions="Obey.", model="coder", tools=[read_file])
    print((await Runner.run(agent, "say cheese")).final_output)
    streamed = Runner.run_streamed(agent, "say cheese")
    async for _ in streamed.stream_events():
        pass
    print(streamed.final_output)
    print((await Runner.run(agent, 'use read_file with {"path": "notes.txt"}')).final_output)
    structured = Agent(name="writer", model="coder", output_type=Person)
    print(repr((await Runner.run(structured, 'say {"name": "Ann", "age": 42}')).final_output))


asyncio.run(main())
