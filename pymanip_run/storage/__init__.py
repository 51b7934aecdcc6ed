"""The session file: journal, transactions, recovery, and the stores that write and read it."""
