"""The control plane: store, ingestion, leases, admin API and console. A process of its own."""
