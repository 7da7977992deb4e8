"""What comes back: texts from phones become replies, and each reply a mail to its shop."""
