"""Snapshots of volumes, and pods that are given one."""

from __future__ import annotations

import shutil
from pathlib import Path

from .database import Member


def save(member: Member, name: str) -> Path:
    """A snapshot of a volume whose server is down."""
    assert not member.server.alive
    saved = member.server.volume.with_name(f"{member.name}-{name}")
    shutil.copytree(member.server.datadir, saved)
    return saved


def restore(member: Member, saved: Path, *, as_it_is: bool = False) -> None:
    """Give a pod that is down the volume that was saved, of this pod or of another one.

    Args:
        member: The pod.
        saved: Of `save`.
        as_it_is: Leave MySQL the identity of the server from which the volume is.
    """
    member.server.wipe()
    shutil.copytree(saved, member.server.datadir)
    if not as_it_is and not saved.name.startswith(f"{member.name}-"):
        member.server.as_another_server()
