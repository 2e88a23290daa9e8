"""Everybody who could solve these systems, in one run: see ``__main__.py``."""
