"""LangChain with its model of OpenAI. Arguments: the gateway's address and `responses` or `default`."""

import sys

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

ROOT, PATH = sys.argv[1:]


class Person(BaseModel):
    name: str
    age: int


@tool
def read_file(path: str) -> str:
    """Read a file."""
    return f"{path} says buy milk"


options = {"use_responses_api": True} if PATH == "responses" else {}
model = ChatOpenAI(model="coder", base_url=f"{ROOT}/v1", max_retries=0, **options)
print(model.invoke("say cheese").text)
print("".join(chunk.text for chunk in model.stream("say cheese")))

messages: list[BaseMessage] = [HumanMessage('use read_file with {"path": "notes.txt"}')]
with_tools = model.bind_tools([read_file])
answer = with_tools.invoke(messages)
messages += [answer, *(read_file.invoke(call) for call in answer.tool_calls)]
assert isinstance(messages[-1], ToolMessage)
print(with_tools.invoke(messages).text)

print(model.with_structured_output(Person).invoke('say {"name": "Ann", "age": 42}'))
