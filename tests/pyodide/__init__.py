"""The wheel in Pyodide, in Node and in Chromium."""
