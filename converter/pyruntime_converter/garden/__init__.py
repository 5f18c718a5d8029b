"""The model garden: architectures written once over the IR, built from a config and named weights."""
