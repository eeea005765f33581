"""How a teacher is spoken to, whoever does it: the protocol, and reading what it replies. No client is in here."""
