"""Students: TRL methods, evaluation, report. Reads a dataset folder, never the database; `python -m trainer --help`."""
