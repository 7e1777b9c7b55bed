"""Jia & Shen 2017 again: two stages with one network on ISIC 2017, beside the paper's numbers.

`plan` says what is trained, `run` trains it, `masks` holds the parts against experts' masks, `collect` turns
predictions into `reproduce.json`, `figures` draws figures 2 to 4, `page` writes one HTML page.
"""
