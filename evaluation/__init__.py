"""Judge runs: measures, tests against a baseline, and the report."""
