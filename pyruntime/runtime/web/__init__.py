"""Running packs in a web page: sessions of Pyodide over the JavaScript runtime, which the wheel carries."""
