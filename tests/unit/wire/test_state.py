"""The ids that requests name and answers report."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pointsman.domain.failures import Rejection
from pointsman.domain.state import Named, Touched
from pointsman.wire import state
from pointsman.wire.state import (
    id_of,
    is_for_no_model,
    may_name,
    may_name_by_field,
    named_in,
    names_state,
    reported_in,
    touched,
    touched_by_chat,
)


def fields(value: dict[str, Any]) -> dict[str, Raw]:
    return msgspec.json.decode(json.dumps(value), type=dict[str, Raw])


def ids(value: dict[str, Any]) -> list[str]:
    return [named.id for named in named_in(fields(value))]


@pytest.mark.parametrize(
    ("method", "path", "names", "creates", "lists", "deletes"),
    [
        ("POST", "/files", [], "file", None, None),
        ("GET", "/files?limit=2&after=file-1", ["file-1"], None, "file", None),
        ("GET", "/files/file-1/content", ["file-1"], None, None, None),
        ("GET", "//files///file-1/", ["file-1"], None, None, None),
        ("DELETE", "/files/file-1", ["file-1"], None, None, "file-1"),
        ("GET", "/vector_stores/vs_1/files/file-1/content", ["vs_1", "file-1"], None, None, None),
        ("DELETE", "/vector_stores/vs_1/files/file-1", ["vs_1", "file-1"], None, None, None),
        ("POST", "/vector_stores/vs_1/files", ["vs_1"], None, None, None),
        ("POST", "/threads/runs", [], "run", None, None),
        ("GET", "/threads/thread_1/runs/run_1", ["thread_1"], None, None, None),
        ("POST", "/responses", [], "response", None, None),
        ("POST", "/responses/resp_1/cancel", ["resp_1"], None, None, None),
        ("POST", "/videos/video_1/remix", ["video_1"], "video", None, None),
        ("POST", "/videos/edits", [], "video", None, None),
        ("GET", "/videos/characters/char_1", ["char_1"], None, None, None),
        ("GET", "/fine_tuning/jobs/ftjob-1/events", ["ftjob-1"], None, None, None),
        ("GET", "/fine_tuning/checkpoints/ft:x/permissions", ["ft:x"], None, None, None),
        ("GET", "/audio/voice_consents", [], None, "voice consent", None),
    ],
)
def test_ids_and_kinds_are_read_from_paths(
    method: str, path: str, names: list[str], creates: str | None, lists: str | None, deletes: str | None
) -> None:
    found = touched(method, path, {})
    assert found is not None
    assert [named.id for named in found.names] == names
    assert (found.creates, found.lists, found.deletes) == (creates, lists, deletes)


@pytest.mark.parametrize(
    "path", ["/responses/input_tokens", "/responses/compact", "/audio/speech", "/images/edits", "/moderations"]
)
def test_paths_without_stored_objects_touch_nothing(path: str) -> None:
    found = touched("POST", path, fields({"model": "m", "input": "x"}))
    assert found is None or found == Touched(learns=True, has_items=True)


def test_ids_of_the_client_itself_name_nothing() -> None:
    """Codex names its own thread and session."""
    body = {"input": "x", "metadata": {"file_id": "a"}, "client_metadata": {"thread_id": "b", "session_id": "c"}}
    assert touched("POST", "/responses", fields(body), stores=False) is None


def test_unstored_response_creates_only_containers() -> None:
    assert touched("POST", "/responses", fields({"input": "x"}), stores=False) is None
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    found = touched("POST", "/responses", fields({"input": "x", "tools": tools}), stores=False)
    assert found == Touched(learns=True)
    named = touched("POST", "/responses", fields({"previous_response_id": "resp_1"}), stores=False)
    assert named is not None
    assert (named.names, named.creates) == ((Named("response", "resp_1", "previous_response_id"),), None)


def test_file_content_reports_no_ids() -> None:
    found = touched("GET", "/files/file-1/content", {})
    assert found is not None
    assert not found.learns


def test_items_without_content_refer_to_stored_ones() -> None:
    references: list[dict[str, Any]] = [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_2"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "image_generation_call", "id": "ig_1"},
    ]
    own: list[dict[str, Any]] = [
        {"type": "message", "id": "msg_3", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "reasoning", "id": "rs_2", "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_3", "content": [{"type": "reasoning_text", "text": "x"}]},
        {"type": "image_generation_call", "id": "ig_2", "result": "iVBO"},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"file_id": "file-9"}'},
    ]
    assert ids({"input": [*references, *own]}) == ["msg_1", "msg_2", "rs_1", "ig_1"]
    assert ids({"input": own}) == []


def test_annotations_of_earlier_answers_name_nothing() -> None:
    part = {"type": "output_text", "text": "x", "annotations": [{"type": "file_citation", "file_id": "file-1"}]}
    assert ids({"input": [{"role": "assistant", "content": [part]}]}) == []
    part["annotations"] = [
        {"type": "file_citation", "file_id": "file-1"},  # searched, so it was there before
        {"type": "container_file_citation", "container_id": "cntr_1", "file_id": "cfile_1"},
    ]
    reported = reported_in(json.dumps({"data": [{"content": [part]}]}).encode(), has_items=False)
    assert reported == [("container", "cntr_1"), ("file", "cfile_1")]


def test_slow_bodies_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_ENTRIES", 200)
    monkeypatch.setattr(state, "MAX_ELEMENTS", 1000)
    many: list[list[Any]] = [[{}] * 100, [0] * 1002, [[]] * 101]
    for value in many:
        with pytest.raises(Rejection, match="too many elements"):
            ids({"input": [*value, {"file_id": "file-1"}]})
    assert ids({"input": [*[{}] * 90, {"file_id": "file-1"}]}) == ["file-1"]
    with pytest.raises(Rejection, match="too many elements"):
        ids({"input": {f"k{number}": 1 for number in range(300)}})
    answer = {"output_file_id": "file-1", "data": [{"file_id": "file-2"}, *[{}] * 1000]}  # read as far as it goes
    assert reported_in(json.dumps(answer).encode(), has_items=False)[0] == ("file", "file-1")


def test_deep_bodies_are_walked_without_recursion() -> None:
    body = b'{"a":' * 400 + b'{"file_id":"file-1"}' + b"}" * 400
    assert [named.id for named in named_in({"tools": Raw(body)})] == ["file-1"]
    with pytest.raises(Rejection):
        list(named_in({"tools": Raw(b"[" * 100_000 + b'"file_id"' + b"]" * 100_000)}))


def test_ids_are_found_in_chats() -> None:
    messages = [{"role": "user", "content": "x"}]
    assert touched_by_chat(fields({"messages": messages})) is None
    assert touched_by_chat(fields({"messages": messages, "store": True})) is None
    spoken = touched_by_chat(fields({"messages": messages, "modalities": ["text", "audio"], "audio": {"voice": "x"}}))
    assert spoken == Touched(learns=True)
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"message": {"audio": {"id": "audio_1"}}}]}
    assert ("audio", "audio_1") in reported_in(json.dumps(answer).encode(), has_items=False)


def test_ids_are_found_in_answers() -> None:
    answer = {
        "id": "resp_1", "object": "response", "metadata": {"file_id": "file-7"}, "conversation": {"id": "conv_1"},
        "output": [
            {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"},
            {"type": "message", "id": "msg_1"},
        ],
        "tools": [{"type": "function", "parameters": {"examples": [{"file_id": "file-8"}]}}],
    }  # fmt: skip
    reported = reported_in(json.dumps(answer).encode(), has_items=True)
    assert set(reported) == {
        ("response", "resp_1"), ("container", "cntr_1"), ("item", "ci_1"), ("item", "msg_1"),
    }  # fmt: skip
    assert not {kind for kind, _ in reported_in(json.dumps(answer).encode(), has_items=False)} & {"item"}
    assert id_of(b'{"object":"x","id":"resp_1"}') == "resp_1"
    for odd in (
        b"",
        b"[]",
        b'{"id":1}',
        b'{"id":"a b"}',
        b'{"id":"\xc3\xa4"}',
        b'{"id":""}',
        b'{"id":"%b"}' % (b"x" * 600),
    ):
        assert id_of(odd) is None
        assert reported_in(odd, has_items=True) == []


def test_form_fields_with_ids_are_recognized() -> None:
    for name in ("file_id", "File_Id", "input_reference[file_id]", "video[id]", "consent", "file_ids[]", "voice.id"):
        assert names_state(name), name
    for name in ("file", "video", "voice", "purpose", "expires_after[anchor]", "model", "image[]", "audio_sample"):
        assert not names_state(name), name
    assert is_for_no_model("/videos/edits")
    assert is_for_no_model("/containers/c/files?x=1")
    assert not is_for_no_model("/videos")
    assert not is_for_no_model("/audio/transcriptions")


@pytest.mark.parametrize("value", [1, "x", [], {"source": "x"}, {"source": {"type": 1}}, {"type": []}])
def test_malformed_data_sources_are_rejected(value: object) -> None:
    with pytest.raises(Rejection, match="data_source"):
        touched("POST", "/evals/e/runs", fields({"data_source": value}))


def test_id_after_many_elements_is_found() -> None:
    fillers: list[list[Any]] = [[1] * 140_000, [{}] * 70_000, ["x"] * 140_000]
    for filler in fillers:
        assert ids({"input": [*filler, {"file_id": "file-1"}]}) == ["file-1"]


def test_repeated_ids_of_request_are_not_learned() -> None:
    answer = {
        "id": "resp_1",
        "object": "response",
        "tools": [{"type": "file_search", "vector_store_ids": ["vs_shared"], "file_id": "file-7"}],
        "previous_response_id": "resp_0",
        "input_file_id": "file-3",
        "output": [
            {"type": "file_search_call", "id": "fs_1", "results": [{"file_id": "file-4"}]},
            {"type": "message", "id": "msg_1", "content": [{"annotations": [{"file_id": "file-5"}]}]},
        ],
    }
    reported = reported_in(json.dumps(answer).encode(), has_items=False)
    assert set(reported) == {("file", "file-5"), ("response", "resp_1")}
    own = reported_in(json.dumps(answer).encode(), has_items=True, refers=False)
    assert {name for _, name in own} == {"resp_1", "fs_1", "msg_1"}
    made = {"id": "thread_1", "object": "thread", "tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}}}
    assert ("vector store", "vs_1") not in reported_in(json.dumps(made).encode(), has_items=False)
    assert ("vector store", "vs_1") in reported_in(json.dumps(made).encode(), has_items=False, makes_stores=True)


@pytest.mark.parametrize("path", ["/conversations", "/conversations/c/items", "/responses/r/input_items"])
def test_content_written_by_clients_is_not_learned(path: str) -> None:
    for method in ("GET", "POST"):
        found = touched(method, path, {})
        assert found is None or not found.learns


def test_duplicate_name_in_object_is_rejected() -> None:
    for inner in (
        '{"file_id":"file-theirs","file_id":"file-mine"}',
        '{"type":"item_reference","type":"message","id":"msg_1"}',
        '{"file\\u005fid":"file-theirs","file_id":"file-mine"}',
        '{"a":[{"b":":","b":"{"}]}',
    ):
        for filler in ("x", "x" * 100_000):
            body = Raw(f'[{{"text":"{filler}"}}, {inner}]'.encode())
            with pytest.raises(Rejection, match="duplicate name"):
                named_in({"input": body})
    assert ids({"input": [{"a": {"a": 1}, "b:": {"c": "a:b"}}, {"a": 2}]}) == []


def test_ids_are_found_under_every_spelling() -> None:
    for value in (
        {"source": {"ID": "file-1"}},
        {"container": {"id": "file-1"}},
        {"file_ids": [["file-1"]]},
        {"file_id": {"id": "file-1"}},
        {"respon\u017fe_id": "file-1"},
        {"deep": [{"Vector_Store_IDs": ["file-1"]}]},
        {"type": "file_citation", "more": {"type": "file_citation", "file_id": "file-1"}},
    ):
        assert ids({"tools": [value, {"text": "\u017f" * 50_000}]}) == ["file-1"], value
        assert ids({"tools": [value]}) == ["file-1"], value


def test_too_many_ids_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_NAMED", 10)
    assert len(ids({"file_ids": [f"file-{number}" for number in range(10)] * 2})) == 10
    with pytest.raises(Rejection, match="names 11 ids"):
        ids({"file_ids": [f"file-{number}" for number in range(11)]})


def test_commas_in_long_texts_are_no_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_ELEMENTS", 100)
    assert ids({"input": [{"content": "1,2\n" * 50_000}, {"file_id": "file-1"}]}) == ["file-1"]


def test_cursors_are_decoded_like_a_provider() -> None:
    for query in ("after=file-1", "%61fter=file-1", "limit=2&after=file%2D1", "before=file-1"):
        found = touched("GET", f"/files?{query}", {})
        assert found is not None
        assert [named.id for named in found.names] == ["file-1"], query


def test_only_responses_can_be_unstored() -> None:
    found = touched("POST", "/vector_stores", fields({"name": "x"}), stores=False)
    assert found is not None
    assert found.creates == "vector store"


def test_message_parts_with_ids_are_recognized() -> None:
    for text in (b'[{"file":{"file_id":"x"}}]', b'{"File_ID":1}', b'[{"file\\u005fid":1}]', b'[{"file_ids":[]}]'):
        assert may_name(text), text
    for text in (b'[{"type":"text","text":"{\\"file_id\\": 1} \\u00e9"}]', b'"x"'):
        assert not may_name(text), text
    assert may_name_by_field({"previous_response_id": Raw(b"1")})
    assert not may_name_by_field({"model": Raw(b"1"), "messages": Raw(b"1"), "metadata": Raw(b"1")})
