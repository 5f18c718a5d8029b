"""ONNX's backend suite on every target, and its peers beside: `python -m tests.conformance --help`."""
