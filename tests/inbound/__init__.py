"""Tests of what comes back from phones."""
