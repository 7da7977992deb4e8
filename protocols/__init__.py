"""Wire protocols: sans-IO cores, each with one thin asyncio file."""
