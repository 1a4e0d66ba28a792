"""Changes of users, roles, service tokens and sessions. Each is one transaction of the store."""
