"""Retrieval under the module names of the specification."""
