"""Texts put under labels of a list: never under one that is not on it."""
