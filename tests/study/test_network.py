"""Which file systems are refused, from a list of mounts."""

from pathlib import Path

import pytest

from journal_launcher.base.errors import UsageError
from journal_launcher.study.journal import network
from journal_launcher.study.journal.backend import DurableJournalFileBackend, network_file_system


class TestNetworkFileSystems:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/data/s.log", "nfs4"),
            ("/data/local/s.log", None),
            ("/my share/s.log", "cifs"),
            ("/remote/s.log", "fuse.sshfs"),
            ("/scratch/s.log", "lustre"),
            ("/hidden/s.log", None),
            ("/database/s.log", None),
        ],
    )
    def test_the_innermost_mount_decides(
        self, path: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mounts = tmp_path / "mountinfo"
        mounts.write_text(
            "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
            "2 1 0:4 / /data rw shared:1 - nfs4 host:/d rw\n"
            "3 2 8:2 / /data/local rw - xfs /dev/sdb rw\n"
            "4 1 0:5 / /my\\040share rw - cifs //host/s rw\n"
            "5 1 0:6 / /remote rw - fuse.sshfs host: rw\n"
            "6 1 0:7 / /scratch rw - lustre host: rw\n"
            "7 1 0:8 / /hidden rw - nfs host: rw\n"
            "8 1 8:3 / /hidden rw - ext4 /dev/sdc rw\n"
        )
        monkeypatch.setattr(network, "_MOUNTS", mounts)
        assert network_file_system(path) == kind

    def test_refused_unless_allowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mounts = tmp_path / "mountinfo"
        mounts.write_text("1 0 0:4 / / rw - nfs4 host:/ rw\n")
        monkeypatch.setattr(network, "_MOUNTS", mounts)
        with pytest.raises(UsageError, match=r"\(nfs4\).*--allow-network-fs"):
            DurableJournalFileBackend(tmp_path / "s.log")
        assert not (tmp_path / "s.log").exists()
        DurableJournalFileBackend(tmp_path / "s.log", allow_network_fs=True)
        DurableJournalFileBackend(tmp_path / "s.log", read_only=True)
