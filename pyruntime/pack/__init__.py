"""The pack format: what a pack holds (schema), writing, reading, and checking it before use."""
