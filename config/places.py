"""Where each key was set: a line of the file, or an environment variable."""

from __future__ import annotations

from pathlib import Path

from config.faults import Fault, KeyPath, path_text
from config.toml_lines import KeyLines


class Places:
    """The origins of one set of settings, to name them in faults."""

    __slots__ = ("_source", "lines", "variables")

    def __init__(self, path: Path | None) -> None:
        self._source = "" if path is None else str(path)
        self.lines = KeyLines("")
        self.variables: dict[KeyPath, str] = {}

    def fault(self, path: KeyPath, problem: str, hint: str = "") -> Fault:
        """A fault of the key or table at `path`, with the place that its author should look at."""
        where = path_text(path)
        line = self.lines.find(path)
        if variable := self.variables.get(path):
            return Fault(variable, None, problem, hint)
        if variable := self._nearest_variable(path, has_line=line is not None):
            return Fault(variable, None, f"{where}: {problem}", hint)
        return Fault(where, line, problem, hint, self._source)

    def file_fault(self, problem: str, hint: str = "", line: int | None = None) -> Fault:
        """A fault of the file as a whole."""
        return Fault("", line, problem, hint, self._source)

    def _nearest_variable(self, path: KeyPath, *, has_line: bool) -> str | None:
        """The variable that made the link of this key, or this section where no file has it."""
        maker = self.variables.get(path[:2])
        inside = (name for set_path, name in self.variables.items() if set_path[:1] == path)
        return maker if maker or has_line else next(inside, None)
