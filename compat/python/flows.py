"""The flows of the suite with the official client for Python."""

import conversations  # noqa: F401
import definitions  # noqa: F401
import resources  # noqa: F401
import teams  # noqa: F401
from suite import run_all

run_all()
