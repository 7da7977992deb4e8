"""The `gateway` command: one module a subcommand, each with `register` and `run`."""
