"""Which torch launch.sh installs beside which NVIDIA driver; drivers and packages are stand-ins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from launch_sh_bench import Bench, make_bench, make_checkout, make_script, make_wheel

from journal_launcher import bootstrap

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Mar 22 00:00:00 UTC 2023\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build\nGCC 12.3.0\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the kernel names its driver; nothing else on this machine does."""
    path = tmp_path / "version"
    monkeypatch.setattr(bootstrap, "DRIVER", path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return path


@pytest.mark.parametrize(
    ("text", "release"),
    [
        (CLOSED.format("535.183.01"), 535),
        (OPEN.format("570.86.15"), 570),
        (CLOSED.format("470.256.02"), 470),
        (OPEN.format("590.44"), 590),
        ("", None),
        ("NVRM version: of another day\n", None),
    ],
)
def test_the_kernels_word_is_read(file: Path, text: str, release: int | None) -> None:
    file.write_text(text)
    assert bootstrap.driver() == release


@pytest.mark.parametrize(
    ("body", "release"),
    [
        ("echo 546.33; echo 546.33", 546),
        (
            "echo 'Driver/library version mismatch 535.183'; exit 18",
            None,
        ),
    ],
)
def test_without_a_kernel_module_nvidia_smi_is_asked(
    file: Path, body: str, release: int | None
) -> None:
    assert bootstrap.driver() is None
    make_script(file.parent / "bin" / "nvidia-smi", body)
    assert bootstrap.driver() == release


@pytest.mark.parametrize(
    ("version", "torch", "said"),
    [
        (None, None, ""),
        ("580.65.06", None, ""),
        ("579.99", "torch==2.10.0", "torch==2.10.0: the NVIDIA driver is 579, newer ones need 580"),
        ("525.60.13", "torch==2.10.0", "torch==2.10.0: the NVIDIA driver is 525"),
        (
            "470.256.02",
            None,
            "the NVIDIA driver is 470, torch needs 525, better 580: update it",
        ),
    ],
)
def test_the_pinned_torch_gives_way_to_one_that_the_driver_runs(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    version: str | None,
    torch: str | None,
    said: str,
) -> None:
    if version is not None:
        file.write_text(CLOSED.format(version))
    pinned = bootstrap.CONSTRAINTS.read_text().splitlines()
    (ours,) = (line for line in pinned if line.startswith("torch=="))
    expected = [torch or ours if line == ours else line for line in pinned]
    assert bootstrap.constraints().read_text().splitlines() == expected
    bootstrap.say_of_driver()
    told = capsys.readouterr().err
    assert told.startswith(said) and bool(told) == bool(said)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, version in (("leaf", "1.0"), ("torch", "2.10.0"), ("torch", "2.13.0")):
        make_wheel(packages, name, {f"{name}.py": ""}, version)
    bench = make_bench(tmp_path, packages)
    yield bench
    bench.close()


def test_torch_goes_with_the_driver_at_the_first_start_and_for_the_users_pip(
    bench: Bench, tmp_path: Path
) -> None:
    checkout = make_checkout(tmp_path / "check out")
    driver = tmp_path / "version"
    driver.write_text(OPEN.format("550.90.07"))
    for name, old, new in (
        ("journal_launcher/bootstrap.py", str(bootstrap.DRIVER), str(driver)),
        ("pyproject.toml", '"leaf>=1"', '"leaf>=1", "torch>=2.4"'),
        ("constraints.txt", "leaf==1.0", "leaf==1.0\ntorch==2.13.0"),
    ):
        text = (checkout / name).read_text()
        assert old in text
        (checkout / name).write_text(text.replace(old, new))

    def torch() -> list[str]:
        found = checkout.glob(".venv/lib/python*/site-packages/torch-*.dist-info")
        return [path.name.removesuffix(".dist-info") for path in found]

    first = bench.run(checkout / "launch.sh")
    assert first.code == 0 and torch() == ["torch-2.10.0"]
    assert "torch==2.10.0: the NVIDIA driver is 550, newer ones need 580" in first.err
    driver.write_text(OPEN.format("580.65.06"))
    assert bench.run(checkout / "launch.sh").err == "" and torch() == ["torch-2.10.0"]
    assert bench.run(checkout / "launch.sh", "pip", "install", "torch").code == 0
    assert torch() == ["torch-2.13.0"]
    assert bench.run(checkout / "launch.sh", "pip", "install", "torch==2.10.0").code == 1
    driver.write_text(OPEN.format("550.90.07"))
    assert bench.run(checkout / "launch.sh", "pip", "install", "torch==2.10.0").code == 0
    assert torch() == ["torch-2.10.0"]
