"""Help texts of options that several commands share."""

NO_SECRETS = "Do not read secrets and certificates; use placeholders instead. For CI, where they are missing."
