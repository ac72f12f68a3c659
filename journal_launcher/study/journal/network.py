"""Network file systems, where a lock may not reach the writers on other machines."""

import os
import re
from pathlib import Path

from journal_launcher.base.errors import UsageError

__all__ = ["file_system", "network_file_system", "refuse_network"]

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|ncpfs|afs|ceph|lustre|gpfs|beegfs|glusterfs|orangefs|pvfs2|davfs2?"
    r"|fuse\.(sshfs|s3fs|rclone|gcsfuse|glusterfs|ceph|davfs2?|goofys|blobfuse2?|juicefs)"
)


def network_file_system(path: str | os.PathLike[str]) -> str | None:
    """Type of the network file system that holds `path` (which need not exist), or None."""
    found = file_system(path)
    return found if _NETWORK.fullmatch(found) else None


def file_system(path: str | os.PathLike[str]) -> str:
    """Type of the file system that holds `path` (which need not exist), "" where none tells."""
    try:
        mounts = _MOUNTS.read_text(errors="surrogateescape")
    except OSError:  # not Linux
        return ""
    where = os.path.realpath(path)
    found = ""
    longest = -1
    for mount in mounts.splitlines():
        left, _, right = mount.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), left.split(" ")[4])
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:  # of mounts on one point, the last hides the others
            found = right.split(" ")[0]
            longest = len(point)
    return found


def refuse_network(path: str) -> None:
    """Raise UsageError if `path` is on a network file system."""
    kind = network_file_system(path)
    if kind is not None:
        raise UsageError(
            f"{path}: on a network file system ({kind}), where locks may not hold between "
            "machines; use a local --studies-dir, or --allow-network-fs if only this machine writes"
        )
