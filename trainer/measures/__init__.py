"""The figures of a report beside plain accuracy: a file each, with its shape and how it is counted.

Nothing here asks a model or reads a file: `trainer.evaluate` does, and hands over what came of it.
"""
