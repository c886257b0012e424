"""Compiled arithmetic: arrays in, arrays out; knows no model, no theorem and no file."""
