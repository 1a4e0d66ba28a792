"""What was spent and by whom, for good: SQLite by default, PostgreSQL by address, one code for both."""
