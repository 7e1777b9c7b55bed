"""Every table and result figure of Ge et al. 2017, trained on one's own pairs, beside the paper's numbers.

`plan` says which networks are trained, `run` trains them one by one, `collect` turns their predictions into
`reproduce.json`, `page` into one HTML page.
"""
