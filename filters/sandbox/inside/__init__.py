"""What runs inside the sandbox, on whatever Python 3.10 or newer is there: standard library only."""
