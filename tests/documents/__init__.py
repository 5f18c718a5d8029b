"""Every code block of the README and the guides, executed as it stands."""
