"""Makes the models that the benchmarks run, for each engine in the format that it does best with."""
