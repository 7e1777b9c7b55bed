"""Whole experiments: from a recipe and a case folder to a finished run, and the built-in demonstration."""
