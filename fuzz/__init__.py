"""Fuzzing of every parser that meets bytes from outside: see ``run.py``."""
