"""The resources that the API makes, and those of the configuration file: /api/v1/providers, /models, /teams and so on.

Each kind has the same routes. The owner of a resource is `file` or `api`. Those of the file are shown, and changed only
there. A change answers 200 when every worker has it, and 202 with the workers that have not after two seconds.
"""

from enum import Enum
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Response
from msgspec.structs import replace
from pydantic import Field

from pointsman.admin.edits import EditTerms, NewResource, ResourceContent, Terms, ask_for
from pointsman.admin.permissions import Need, Permission, Within
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, StrictModel, as_json
from pointsman.config.resource_kinds import KINDS, ResourceKind
from pointsman.control.inquiries.resources import EditResources, ResourceEdit, ResourceInquiry, ResourceState
from pointsman.domain.rights import AccessScope

LIST_S = 30.0
_OWNERS = frozenset({"customer", "team"})

router = APIRouter(prefix="/api/v1")
ResourceName = Annotated[str, Path(max_length=300, description="The name of the resource.")]


class ResourceQuery(StrictModel):
    """A page of resources, sorted by name."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[str | None, Field(max_length=300, description="Only names after this one.")] = None
    owner: Literal["file", "api"] | None = None
    search: Annotated[str | None, Field(max_length=300, description="Only names with this text in them.")] = None


def _add_reads(kind: ResourceKind) -> None:
    """Add the routes that read a kind."""
    reads = Within(Permission.TEAMS_READ if kind.name in _OWNERS else Permission.CONFIG_READ)
    path, tags = f"/{kind.plural}", list[str | Enum]([kind.plural])

    @router.get(path, tags=tags, summary=f"List {kind.plural}.", name=f"list_{kind.plural}")
    async def list_all(
        services: Has, query: Annotated[ResourceQuery, Query()], scope: Annotated[AccessScope, Depends(reads)]
    ) -> Response:
        """Return a page of resources. For the next page, set `after` to the value of `next`."""
        found = await services.control.ask(ResourceInquiry(kind=kind.name), ResourceState, LIST_S)
        chosen = [item for item in found if _is_in(scope, item) and _is_wanted(item, query)]
        page = chosen[: query.limit]
        return as_json({"items": page, "next": page[-1].name if len(chosen) > query.limit else None})

    @router.get(path + "/{name:path}", tags=tags, summary=f"Return one of the {kind.plural}.", name=f"get_{kind.name}")
    async def get(services: Has, name: ResourceName, scope: Annotated[AccessScope, Depends(reads)]) -> Response:
        """Return a resource with its `ETag`, if the API made it."""
        found = await services.control.ask(ResourceInquiry(kind=kind.name, name=name), ResourceState, LIST_S)
        visible = [item for item in found if _is_in(scope, item)]
        if not visible:
            raise ApiError(404, "not_found", f"there is no {kind.name} {name[:300]!r}")
        return _with_etag(as_json(visible[0]), visible[0])


def _add_writes(kind: ResourceKind) -> None:
    """Add the routes that change a kind."""
    writes = Need(Permission.TEAMS_WRITE if kind.name in _OWNERS else Permission.CONFIG_WRITE)
    path, one = f"/{kind.plural}", f"/{kind.plural}/{{name:path}}"
    shared: dict[str, Any] = {"tags": [kind.plural], "dependencies": [Depends(writes)]}

    @router.post(path, status_code=201, summary=f"Make one of the {kind.plural}.", name=f"create_{kind.name}", **shared)
    async def create(services: Has, terms: Terms, body: NewResource) -> Response:
        """Make a resource. Secrets are sealed at once, and are never shown again."""
        edit = ResourceEdit(action="create", kind=kind.name, name=body.name, spec=body.spec)
        answer = await _change(services, terms, edit, body.note, status=201)
        answer.headers["location"] = f"/api/v1/{kind.plural}/{quote(body.name)}"
        return answer

    @router.put(one, summary=f"Make or replace one of the {kind.plural}.", name=f"put_{kind.name}", **shared)
    async def put(services: Has, terms: Terms, name: ResourceName, body: ResourceContent) -> Response:
        """Make a resource, or replace its whole content. A secret that is given as it was read keeps its value."""
        edit = ResourceEdit(action="put", kind=kind.name, name=name, spec=body.spec)
        return await _change(services, terms, edit, body.note)

    @router.patch(one, summary=f"Change fields of one of the {kind.plural}.", name=f"patch_{kind.name}", **shared)
    async def patch(services: Has, terms: Terms, name: ResourceName, body: ResourceContent) -> Response:
        """Merge `spec` into the present content (RFC 7396): a field that is null is removed."""
        edit = ResourceEdit(action="patch", kind=kind.name, name=name, spec=body.spec)
        return await _change(services, terms, edit, body.note)

    @router.delete(one, summary=f"Delete one of the {kind.plural}.", name=f"delete_{kind.name}", **shared)
    async def delete(services: Has, terms: Terms, name: ResourceName) -> Response:
        """Delete a resource, unless others refer to it."""
        return await _change(services, terms, ResourceEdit(action="delete", kind=kind.name, name=name), "")


async def _change(services: Has, terms: EditTerms, edit: ResourceEdit, note: str, *, status: int = 200) -> Response:
    edits = [replace(edit, if_version=terms.if_version)]
    inquiry = EditResources(
        edits=edits, author=terms.author, note=note, is_dry_run=terms.is_dry_run, repeat=terms.repeat
    )
    outcome, answer = await ask_for(services, inquiry, status)
    return _with_etag(answer, outcome.states[0]) if outcome.states else answer


def _with_etag(answer: Response, state: ResourceState) -> Response:
    if state.version is not None:
        answer.headers["etag"] = f'"{state.version}"'
    return answer


def _is_in(scope: AccessScope, item: ResourceState) -> bool:
    fields: Any = item.spec if isinstance(item.spec, dict) else {}
    if item.kind == "team":
        return scope.covers(team=item.name, customer=fields.get("customer"))
    return scope.covers(customer=item.name) if item.kind == "customer" else scope.is_everything


def _is_wanted(item: ResourceState, query: ResourceQuery) -> bool:
    if query.owner is not None and item.owner != query.owner:
        return False
    if query.search is not None and query.search.lower() not in item.name.lower():
        return False
    return query.after is None or item.name > query.after


for _kind in KINDS.values():
    _add_reads(_kind)
    _add_writes(_kind)
