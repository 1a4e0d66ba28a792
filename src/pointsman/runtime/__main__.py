"""Runs one child of the supervisor: `python -m pointsman.runtime NAME TASK`, with the name of the child's module."""

import gc
import sys
from importlib import import_module

# Off until `tune_garbage_collector`: imports create no garbage, and collection took a fifth of the start.
gc.disable()

from pointsman.runtime.tasks import run_child  # noqa: E402 -- see above

sys.exit(run_child(import_module(f"pointsman.runtime.{sys.argv[1]}").work, sys.argv[2]))
