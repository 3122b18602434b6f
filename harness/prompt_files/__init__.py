"""People's own prompts: `lines` of a file to `columns` to `rows` to items (`reading`).

`crossing` puts two classes into one prompt; `confounds` measures what the words alone give away.
"""
