"""The documentation as a site: `python -m docs_site.main` builds it from docs/, docstrings and TSDoc."""
