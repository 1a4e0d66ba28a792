"""`python -m pointsman` is the `pointsman` command."""

from pointsman.runtime.safe_path import leave_out_working_folder

leave_out_working_folder()

from pointsman.cli import main  # noqa: E402

main()
