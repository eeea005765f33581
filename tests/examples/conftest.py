"""The example's scripts import one another by bare name, as they do when run; put their folder on the path."""

import sys
from pathlib import Path

ARITHMETIC = Path(__file__).parents[2] / "examples" / "arithmetic"
sys.path.insert(0, str(ARITHMETIC))
