"""Many models, one command: runs of the suite on a cluster, and one report of all of them.

A FILE.toml names models, checkpoints and releases (`entries`, `steps`). Each becomes tasks
(`asking`), and each task is an ordinary `pytest hypotheses/` in a folder of its own (`work`). Ray
gives them to processors, GPUs and machines (`cluster`); `running` is what happens in which order,
`table` what is seen meanwhile, `waiting` asks again for what was lost, `sharing` merges what
machines without a common folder made, `together` makes one run of all.
"""
