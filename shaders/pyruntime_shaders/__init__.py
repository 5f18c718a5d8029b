"""WGSL templates and the Python that picks and renders them."""
