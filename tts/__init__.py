"""Text to speech for the phone: normaliser, engines, phone audio, cache."""
