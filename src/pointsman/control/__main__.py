"""`python -m pointsman.control`: what the supervisor starts."""

import sys

from pointsman.control.process import main

sys.exit(main())
