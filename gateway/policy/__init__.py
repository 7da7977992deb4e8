"""What may be sent, to whom, when: one pure function, `gate.decide`, and nothing else decides."""
