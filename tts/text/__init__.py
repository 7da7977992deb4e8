"""How written text is said: numbers, dates, money and abbreviations, one grammar a language."""

from __future__ import annotations
