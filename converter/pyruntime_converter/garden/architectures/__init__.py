"""One module per model_type of config.json, found by name: see `garden.registry`."""
