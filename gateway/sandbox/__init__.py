"""Simulated peers that speak the real protocols over loopback: for the demo, for trying things out, and as the tests' fakes."""
