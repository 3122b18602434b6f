"""The findings that the claims are judged on, a folder a kind of claim."""
