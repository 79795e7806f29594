"""Tests of the pages' scripts, run by Node.js."""
