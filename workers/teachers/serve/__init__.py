"""A real teacher on this machine: `python -m workers.teachers.serve MODEL` starts vLLM and looks after it."""
