"""The journal: files of intents and outcomes, which are reservations for attempts and their results. The files survive
every process."""
