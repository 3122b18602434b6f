"""The claim of one linear direction (h7): fitted, searched for, judged; `findings` is the end."""
