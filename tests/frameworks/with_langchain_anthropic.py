"""LangChain with its model of Anthropic. Argument: the gateway's address."""

import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


@tool
def read_file(path: str) -> str:
    """Read a file."""
    return f"{path} says buy milk"


model = ChatAnthropic(model="coder", base_url=sys.argv[1], max_retries=0)
print(model.invoke("say cheese").text)
print("".join(chunk.text for chunk in model.stream("say cheese")))

messages: list[BaseMessage] = [HumanMessage('use read_file with {"path": "notes.txt"}')]
with_tools = model.bind_tools([read_file])
answer = with_tools.invoke(messages)
messages += [answer, *(read_file.invoke(call) for call in answer.tool_calls)]
assert isinstance(messages[-1], ToolMessage)
print(with_tools.invoke(messages).text)

structured = model.with_structured_output(Person, method="json_schema")
print(structured.invoke('say {"name": "Ann", "age": 42}'))
