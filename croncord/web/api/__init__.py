"""The HTTP API, `/api/v1`: one module per noun, each ending in the table of its endpoints."""
