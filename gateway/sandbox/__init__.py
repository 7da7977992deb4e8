"""Simulated peers that speak the real protocols over loopback: for demo, trial and tests."""
