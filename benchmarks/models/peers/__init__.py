"""From ONNX to other engines' formats: channels-last, activations fused, as their own converters write."""
