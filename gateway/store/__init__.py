"""The durable store: PostgreSQL, embedded or given, and everything kept in it."""
