"""Mail: what the gateway writes, where it may go, and the one way out over SMTP."""
