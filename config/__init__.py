"""The settings of an installation: what they are, their defaults, and how they are read."""
