"""The target side of pack building: memory plan, rendered kernels, and their part of the manifest."""
