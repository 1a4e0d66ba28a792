"""All spending in the journals has reached the store, and none was damaged or rejected."""

from pathlib import Path

from pointsman.doctor.api import Finding, Subject, ok, warning

FULL_SHARE = 0.5  # of `journal.max_bytes`


async def check(subject: Subject) -> list[Finding]:
    settings = subject.settings
    if settings is None:
        return []
    folder, rejected = settings.data_dir / "journal", settings.data_dir / "quarantine.jsonl"
    found: list[Finding] = []
    damaged = sorted(folder.glob("damaged-*"))
    if damaged:
        text = f"{folder} has {len(damaged)} damaged journals, such as {damaged[0].name}"
        found.append(
            warning(text, "check the disk; their readable records are in the store, so delete them afterwards")
        )
    if rejected.is_file() and rejected.stat().st_size:
        text = f"the store rejected records, which are in {rejected}"
        found.append(warning(text, "report them, correct the sums by hand, and delete the file"))
    for journal in sorted(folder.glob("[!d]*")):
        size = _bytes(journal)
        if size > FULL_SHARE * settings.journal_bytes:
            text = f"{journal} has {size / 1024**3:.1f} GiB of {settings.journal_bytes / 1024**3:.1f}"
            found.append(
                warning(text, "make the store available; when the journal is full, requests under limits fail")
            )
    if found or not folder.is_dir():
        return found
    if not subject.is_running and any(folder.iterdir()):
        return [ok(f"the next start reads {_bytes(folder) / 1024**2:.1f} MiB of journals into the store")]
    return [ok("no record was damaged or rejected")]


def _bytes(path: Path) -> int:
    """Return the space that a journal takes on the disk: its files are reserved in whole segments."""
    return sum(one.stat().st_blocks * 512 for one in path.rglob("*") if one.is_file())
