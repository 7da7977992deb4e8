"""The SMPP server: ESMEs of shops and carriers bind to us, submit, and get receipts and texts."""
