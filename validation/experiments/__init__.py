"""Experiments: a question, a hypothesis, a sweep, and an answer with its uncertainty.

One module holds one experiment: a function from a `Request` to `Numbers`, which any program may call, and the
`Definition` that draws it. They are listed and drawn with the figures of the papers.
"""
