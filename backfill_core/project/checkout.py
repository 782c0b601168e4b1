"""Who works on a project, and on which commit of it."""

from __future__ import annotations

import getpass
import socket
import subprocess
from pathlib import Path


def commit_of(root: Path) -> str:
    """The commit of the checkout that a folder is in, ``-dirty`` behind it where files differ; empty without git or checkout."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        came = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return came.stdout.strip() if came.returncode == 0 else ""


def user() -> str:
    """The name of whoever runs this; empty where the machine does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def whoami() -> str:
    """``user@host``."""
    return f"{user() or 'somebody'}@{socket.gethostname()}"
