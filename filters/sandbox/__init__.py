"""Running programs that a model wrote: under bubblewrap, in an empty environment, as a user who owns nothing.

Without a sandbox that passes its own test nothing is executed (`ready`). What runs inside is in `inside/`.
"""
