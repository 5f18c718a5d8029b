"""Random ONNX models compared with ONNX Runtime and ONNX's reference: `python -m tests.fuzz`."""
