"""Handlers of ONNX operators by family; each module registers its own, none is listed anywhere."""
