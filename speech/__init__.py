"""How well callers understand what the gateway says, measured: messages are rendered, carried
through the phone's codec, and written down again by an offline recogniser.
"""

from __future__ import annotations
