"""Claims about causes: what is lost when a part of the model is taken away.

`ablations` says what is taken away, `measure` what that does to the answers, `circuits` and
`selection` choose components on discovery facts, `arms` ablates them on evaluation facts;
`dissociation` (h5), `depth` (h6) and `interaction` (h8) are the findings.
"""
