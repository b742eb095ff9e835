"""The web side: ASGI entry point, REST routes, cached handles, charts and shared widgets."""
