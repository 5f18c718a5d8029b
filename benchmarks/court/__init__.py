"""The court: every engine on every benchmark in turns; results.json, a table and a plot of what came out."""
