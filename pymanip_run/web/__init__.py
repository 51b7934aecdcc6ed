"""The server of a run and its dashboard. The only place that knows aiohttp."""
