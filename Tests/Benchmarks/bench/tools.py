"""The small C programs of the benchmark, compiled where they are needed."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

from .proxies import Absent

_SOURCES = pathlib.Path(__file__).resolve().parents[1] / "tools"


class Tools:
    """Compiles into a directory of the run; each program once."""

    def __init__(self, directory: pathlib.Path):
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)

    def program(self, name: str) -> str:
        return self._compiled(name, name, "-lm")

    def library(self, name: str) -> str:
        """To be preloaded into another program."""
        return self._compiled(name, f"{name}.so", "-shared", "-fPIC")

    def _compiled(self, name: str, file: str, *options: str) -> str:
        made = self._directory / file
        if not made.exists():
            compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
            if not compiler:
                raise Absent("no C compiler")
            done = subprocess.run(
                [compiler, "-O2", "-o", str(made), str(_SOURCES / f"{name}.c"), *options],
                capture_output=True, text=True)
            if done.returncode != 0:
                raise Absent(f"{name}.c does not compile: {done.stderr[-300:]}")
        return str(made)
