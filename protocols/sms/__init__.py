"""Texts as they travel: alphabets, segments, reassembly and receipts, without any I/O."""
