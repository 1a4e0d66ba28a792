"""`python -m pointsman` is the `pointsman` command."""

from pointsman.runtime.safe_path import exclude_working_folder

exclude_working_folder()

from pointsman.cli import main  # noqa: E402

main()
