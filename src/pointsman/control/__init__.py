"""The control process: the store, ingestion of journals, leases, and answers to the admin process."""
