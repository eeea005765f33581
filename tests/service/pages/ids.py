"""What the library of the page tests is known by."""

import time

NOW = time.time()
DONE, ASKING = "batch_0f3c9a1b2d4e5f60718293a4", "batch_a1b2c3d4e5f60718293a4b5c"
TRAINED, TRAINING, BROKEN = (
    "run_77aa66bb55cc44dd33ee22ff",
    "run_11aa22bb33cc44dd55ee66ff",
    "run_deadbeef0123456789abcdef",
)
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
