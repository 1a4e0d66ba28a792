"""Secrets of users: sealed for one row, and again with a new master key."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from fakes.access import create_user
from fakes.control import control_plane
from integration.gateway import run
from pointsman.config.sealing import MasterKeys, SealError
from pointsman.control.access.secrets import of_totp, seal, seal_again, unseal
from pointsman.control.store.access_tables import USERS


def test_secret_of_one_user_opens_for_no_other(tmp_path: Path) -> None:
    keys = MasterKeys({}, tmp_path)
    sealed = seal(keys, "secret", of_totp("u-1"))
    assert "secret" not in sealed
    assert unseal(keys, sealed, of_totp("u-1")) == "secret"
    for context in (of_totp("u-2"), "", "refresh token of session u-1"):
        with pytest.raises(SealError):
            unseal(keys, sealed, context)


def test_new_master_key_seals_all_secrets_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            id_ = await create_user(plane, "vera")
            store = plane.inquiry_handler.parts.ingest.store
            assert store is not None
            keys = MasterKeys({}, tmp_path)
            async with store.transaction() as connection:
                sealed = seal(keys, "secret", of_totp(id_))
                await connection.execute(update(USERS).values(totp=sealed))
            keys.add()
            async with store.transaction() as connection:
                assert await seal_again(connection, keys) == 1
            keys.forget_others()
            (row,) = await store.rows(select(USERS.c.totp))
            assert row["totp"] != sealed
            assert unseal(MasterKeys({}, tmp_path), row["totp"], of_totp(id_)) == "secret"

    run(main())
