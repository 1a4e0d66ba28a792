"""The marks by which APIs know a last message of the assistant that is to be continued (`api.Prefill`)."""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from pointsman.wire.json_object import encode_object

Fields = dict[str, Raw]
_MESSAGES = msgspec.json.Decoder(list[Raw])
_MESSAGE = msgspec.json.Decoder(Fields)
_TRUE, _FALSE = Raw(b"true"), Raw(b"false")


def on_message(name: str) -> Callable[[Fields], Fields]:
    """Return a mark that sets a field of the last message to true."""

    def mark(fields: Fields) -> Fields:
        *messages, last = _MESSAGES.decode(fields["messages"])
        marked = Raw(encode_object({**_MESSAGE.decode(last), name: _TRUE}))
        return {**fields, "messages": Raw(encode_object([*messages, marked]))}

    return mark


def without_prompt(fields: Fields) -> Fields:
    """Return the fields with the settings of vLLM and SGLang for an unfinished last message.
    https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (`continue_final_message`)"""
    return {**fields, "continue_final_message": _TRUE, "add_generation_prompt": _FALSE}
