"""Adversaries and faults, each as a test by name."""
