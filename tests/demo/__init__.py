"""The demo site but for its pages in a browser, which `make demo CHECK=1` uses."""
