"""Two runs against each other: which verdicts changed, by how much effects did, what moved.

`past` finds and keeps runs, `matching` decides what may be compared with what, `paired` compares
effects on the samples both runs have, `changes` puts a word to it, `moved` compares components and
`timeline` lines up several releases.
"""
