"""The web side of a gateway: the admin API, the console's page and the metrics page."""
