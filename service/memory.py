"""What a process that runs for long does about memory once it has loaded everything."""

import gc


def settle() -> None:
    """Let the garbage collector pass over what is loaded for good, and look at what comes less often.

    Without that it goes through the same few hundred thousand objects again and again: a twentieth of a worker's time,
    and a tenth of a second of whichever request the API is at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
