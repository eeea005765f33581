"""What the training methods do to students of the tiny teacher, measured: `python -m bench.experiments --help`."""
