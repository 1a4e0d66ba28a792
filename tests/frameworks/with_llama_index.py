"""LlamaIndex with its model for any server of OpenAI's API. Argument: the gateway's address."""

import sys
from os import environ

from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


def read_file(path: str) -> str:
    """Read a file."""
    return f"{path} says buy milk"


model = OpenAILike(
    model="coder",
    api_base=f"{sys.argv[1]}/v1",
    api_key=environ["OPENAI_API_KEY"],
    is_chat_model=True,
    is_function_calling_model=True,
    max_retries=0,
)
print(model.complete("say cheese").text)
print("".join(chunk.delta or "" for chunk in model.stream_complete("say cheese")))

tool = FunctionTool.from_defaults(read_file)
asked = ChatMessage(role=MessageRole.USER, content='use read_file with {"path": "notes.txt"}')
answer = model.chat_with_tools([tool], chat_history=[asked])
(call,) = model.get_tool_calls_from_response(answer)
result = ChatMessage(
    role=MessageRole.TOOL,
    content=str(tool(**call.tool_kwargs)),
    additional_kwargs={"tool_call_id": call.tool_id},
)
print(model.chat_with_tools([tool], chat_history=[asked, answer.message, result]).message.content)

ann = 'use Person with {"name": "Ann", "age": 42}'
print(repr(model.as_structured_llm(Person).complete(ann).raw))
