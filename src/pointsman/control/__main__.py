"""`python -m pointsman.control`: what the supervisor starts."""

import gc
import sys

# Off until `settle_memory`: of what imports make nothing is garbage, and to look for some took a fifth of the start.
gc.disable()

from pointsman.control.process import main  # noqa: E402

sys.exit(main())
