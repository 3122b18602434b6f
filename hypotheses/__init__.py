"""The claims that ship with the suite, a file each: `pytest --pyargs harness.hypotheses`."""
