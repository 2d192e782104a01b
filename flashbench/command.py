"""What both command lines share: errors in one line, and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from flashbench.errors import InputError

WIDTH = 100  # of text that does not go to a terminal
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}  # click's context_settings


class OneLineErrors(click.Group):
    """A group whose errors are one line on stderr, after the group's name, and an exit code, however they arise.

    A command may return its exit code; anything else that it returns is 0.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        try:
            code = run(*args, standalone_mode=False, **extra)
        except InputError as error:
            code = self.complain(str(error))
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # not a complaint but the help itself
                error.show()
                code = BAD_INPUT
            else:
                code = self.complain(error.format_message())
        except (click.Abort, KeyboardInterrupt):
            self.complain("interrupted; the same command goes on from what is saved")
            code = INTERRUPTED
        except OSError as error:
            from flashbench.files.atomic import disk_full

            if not disk_full(error):
                raise
            where = error.filename or "disk"
            code = self.complain(f"{where}: the disk is full; free space and run the same command again")
        sys.exit(code if isinstance(code, int) else 0)

    def complain(self, what: str) -> int:
        """Says on stderr, in one line, what is wrong; returns the exit code of bad input."""
        click.echo(f"{self.name}: {' '.join(what.split())}", err=True)
        return BAD_INPUT
