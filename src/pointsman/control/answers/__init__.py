"""Control's answers to the inquiries of the admin process: a file for each kind, with its `ANSWERS`."""
