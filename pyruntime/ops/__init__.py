"""The definition of each op, once: attributes, inference, NumPy reference, cases."""
