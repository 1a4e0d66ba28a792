"""The resources of the admin API, a file each: `router`."""

from typing import cast

from fastapi import APIRouter

from pointsman.registry import members

ROUTERS: dict[str, APIRouter] = {name: cast("APIRouter", router) for name, router in members(__name__, "router")}
