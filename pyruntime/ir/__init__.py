"""The intermediate representation: symbolic dims, dtypes, scalar expressions, graphs and kernel calls."""
