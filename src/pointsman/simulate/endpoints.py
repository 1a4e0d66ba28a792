"""The endpoints of a simulated provider by method and path, and the objects they store."""

from collections.abc import Callable
from typing import Any

from pointsman.simulate import gemini, messages
from pointsman.simulate.answers import Answer, Dialect, Rejected, Request, RequestContext, error, json_answer
from pointsman.simulate.batches import BatchStore
from pointsman.simulate.chat import chat
from pointsman.simulate.completions import completions
from pointsman.simulate.documents import read_document
from pointsman.simulate.embeddings import embeddings, moderations
from pointsman.simulate.files import FileStore
from pointsman.simulate.media import edited_images, images, speech, transcriptions
from pointsman.simulate.ranking import rerank
from pointsman.simulate.resources import ResourceStore
from pointsman.simulate.responses import ResponseStore

Endpoint = Callable[[RequestContext], Answer]


class Endpoints:
    """All endpoints, with the stores of files, responses and other objects."""

    def __init__(self) -> None:
        self._files = FileStore()
        self._responses = ResponseStore()
        self._resources = ResourceStore(self._files)
        self.batches = BatchStore(self._files, self.find)
        self._by_path: dict[tuple[str, str], Endpoint] = {
            ("POST", "/v1/chat/completions"): chat,
            ("POST", "/v1/beta/chat/completions"): chat,  # https://api-docs.deepseek.com/guides/chat_prefix_completion
            ("POST", "/v1/completions"): completions,
            ("POST", "/v1/embeddings"): embeddings,
            ("POST", "/v1/moderations"): moderations,
            ("POST", "/v1/images/generations"): images,
            ("POST", "/v1/images/edits"): edited_images,
            ("POST", "/v1/images/variations"): edited_images,
            ("POST", "/v1/audio/speech"): speech,
            ("POST", "/v1/audio/transcriptions"): transcriptions,
            ("POST", "/v1/audio/translations"): transcriptions,
            ("POST", "/v1/ocr"): read_document,
            ("POST", "/v1/rerank"): rerank,
            ("POST", "/v2/rerank"): rerank,
            ("POST", "/v1/responses"): self._responses.create,
            ("POST", messages.PATH): messages.messages,
            ("POST", f"{messages.PATH}/count_tokens"): messages.count_message_tokens,
            ("POST", "/v1/files"): self._files.upload,
            ("GET", "/v1/files"): self._files.list,
            ("GET", "/v1/models"): _list_models,
        }

    def clear(self) -> None:
        """Delete the stored objects."""
        self._files.clear()
        self._responses.clear()
        self._resources.clear()
        self.batches.clear()

    def find(self, method: str, path: str) -> Endpoint:
        """Return an endpoint. Raise `Rejected` with 404 if there is none."""
        endpoint = self._by_path.get((method, path))
        if gemini.is_path(path) and method == ("GET" if path == gemini.MODELS else "POST"):
            return gemini.gemini
        if endpoint is None and dialect_of(path) != "anthropic":
            for prefix, find in (
                ("/v1/models/", _find_model),
                ("/v1/files/", self._files.endpoint),
                ("/v1/batches", self.batches.endpoint),
                ("/v1/responses/", self._responses.endpoint),
                ("/v1/", self._resources.endpoint),
            ):
                if endpoint is None and path.startswith(prefix):
                    endpoint = find(method, path.removeprefix(prefix))
        if endpoint is None:
            raise Rejected(error(404, f"Invalid URL ({method} {path})"))
        return endpoint


def dialect_of(path: str) -> Dialect:
    """Return the dialect of a path."""
    if path == messages.PATH or path.startswith(messages.PATH + "/"):
        return "anthropic"
    if gemini.is_path(path):
        return "gemini"
    return "responses" if path == "/v1/responses" else "openai"


def key_of(request: Request) -> str:
    """Return the API key of a request. https://platform.claude.com/docs/en/api/overview#authentication,
    https://ai.google.dev/gemini-api/docs/api-key"""
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    header = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(dialect_of(request.path))
    return bearer if header is None else request.headers.get(header, bearer)


def _list_models(context: RequestContext) -> Answer:
    return json_answer({"object": "list", "data": [_model(context, name) for name in context.settings.models]})


def _find_model(method: str, name: str) -> Endpoint | None:
    def find(context: RequestContext) -> Answer:
        context.require_model(name)
        return json_answer(_model(context, name))

    return find if method == "GET" else None


def _model(context: RequestContext, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": context.settings.name}
