"""The instrument measured: how often it errs where nothing is, how often it finds what is there.

`python -m harness calibrate` runs the suite itself, many times, as a user would; what is written
here only plans the runs (`settings`, `jobs`), carries them out (`running`), reads what they left
(`results`) and counts (`rates`, `pvalues`, `power`, `recovery`, `agreement`). `record` puts it into
calibration.json, from which `page` and `published` are made.
"""
