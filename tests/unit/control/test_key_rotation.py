"""The master key is rotated without downtime, and older versions are sealed anew too."""

from pathlib import Path
from typing import Any

from fakes.control import control_plane
from fakes.resources import CONFIG, UP, call, made
from integration.gateway import run
from pointsman.control.inquiries.resources import RotationOutcome
from pointsman.control.key_rotation import rotate


def test_rotated_key_opens_everything_and_the_old_one_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "providers", "up", UP)
            changed: dict[str, Any] = {"spec": {"keys": {"main": {"value": "sk-second"}}}}
            assert (await call(plane, "PATCH", "providers/up", changed)).status_code == 200
            parts, old = plane.inquiry_handler.parts, (tmp_path / "master-key").read_text()
            outcome = await rotate(parts.book, "somebody")
            assert outcome == RotationOutcome(sealed=2), "the present one, and that of the first version"
            assert old.strip() not in (tmp_path / "master-key").read_text()
            assert parts.book.number == 2, "a rotation is no version"
            (first, second) = reversed(await parts.book.open_store().versions(10))
            assert first.changes[0].after == second.changes[0].before
            endpoint = parts.configuration.current.snapshot.endpoints["up"]
            assert endpoint.keys[0].credential.reveal() == "sk-second"  # type: ignore[union-attr]

    run(main())
    written = b"".join(path.read_bytes() for path in tmp_path.glob("snapshot*"))
    assert b"sk-second" not in written


def test_keys_that_are_not_here_leave_all_as_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            await made(plane, "providers", "up", UP)
            (tmp_path / "master-key").unlink()
            parts = plane.inquiry_handler.parts
            before = parts.book.present
            outcome = await rotate(parts.book, "somebody")
            assert "which is not here" in outcome.problem
            assert parts.book.present == before

    run(main())
