"""The words that several commands say of the same option."""

NO_SECRETS = "Read no secret and no certificate; placeholders stand for them. For CI, where there are none."
