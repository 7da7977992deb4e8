"""The HTTP API: what ProfitSystem and operators call."""
