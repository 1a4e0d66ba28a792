"""Durable spend records: SQLite by default, PostgreSQL by address, with the same code for both."""
