"""launch.sh and bootstrap.py in real processes, on a small checkout whose packages are local."""

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from launch_sh_bench import (
    BASE_PYTHON,
    TELL,
    Bench,
    Ran,
    finish,
    make_bench,
    make_checkout,
    make_environment,
    make_script,
    make_wheel,
)

PYTHON_NAMES = ("python3", "python3.13", "python3.12", "python3.11")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    make_wheel(folder, "leaf", {"leaf.py": ""})
    make_wheel(folder, "leaf", {"leaf.py": "raise ImportError"}, "2.0")  # not the one we need
    make_wheel(folder, "moss", {"moss.py": ""}, "1.0")
    make_wheel(folder, "moss", {"moss.py": ""}, "1.1")
    make_wheel(folder, "twig", {"twig.py": ""})
    make_wheel(folder, "pytest", {"pytest/__init__.py": "", "pytest/__main__.py": TELL})
    return folder


@pytest.fixture
def bench(tmp_path: Path, packages: Path) -> Iterator[Bench]:
    bench = make_bench(tmp_path, packages)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> tuple[Path, Ran]:
    """A checkout after its first start, which is what most tests copy: moving is a feature."""
    folder = tmp_path_factory.mktemp("first")
    checkout = make_checkout(folder / "with spaces" / "checkout")
    return checkout, make_bench(folder, packages).run(checkout / "launch.sh", "--gpus", "auto")


@pytest.fixture
def checkout(tmp_path: Path, finished: tuple[Path, Ran]) -> Path:
    def copy(source: str, target: str) -> None:
        """Link what pip installed, which nobody writes into, and copy the rest."""
        (os.link if "/site-packages/" in source else shutil.copy2)(source, target)

    target = tmp_path / "a = copy" / "checkout"
    return shutil.copytree(finished[0], target, symlinks=True, copy_function=copy)


@pytest.fixture
def no_setup(tmp_path: Path) -> dict[str, str]:
    """Make any attempt to set up an environment fail: every Python on PATH is a broken shim."""
    for name in PYTHON_NAMES:
        make_script(tmp_path / "broken" / name, "echo 'pyenv: no such version' >&2; exit 127")
    return {"PATH": f"{tmp_path / 'broken'}:/usr/bin:/bin"}


def test_first_start_sets_up_and_runs(finished: tuple[Path, Ran]) -> None:
    checkout, ran = finished
    assert ran.told["argv"] == ["--gpus", "auto"]
    assert Path(ran.told["prefix"]) == checkout / ".venv"
    assert Path(ran.told["main"]) == checkout / "journal_launcher" / "__main__.py"
    assert ran.told["leaf"].startswith(str(checkout / ".venv"))
    (line,) = ran.err.splitlines()
    assert line.startswith(f"setting up {checkout}/.venv (once,")


def test_second_start_sets_nothing_up(
    bench: Bench, checkout: Path, no_setup: dict[str, str]
) -> None:
    ran = bench.run(checkout / "launch.sh", "a b", "", **no_setup)
    assert ran.told["argv"] == ["a b", ""]
    assert ran.err == ""


def test_leaves_directory_process_and_exit_code_alone(bench: Bench, checkout: Path) -> None:
    process = bench.start(checkout / "launch.sh")
    told = finish(process).told
    assert told["cwd"] == str(bench.cwd)
    assert told["pid"] == process.pid
    assert bench.run(checkout / "launch.sh", STUB_EXIT="75").code == 75


def test_works_through_symlinks(bench: Bench, checkout: Path, no_setup: dict[str, str]) -> None:
    absolute = checkout.parent / "absolute link"
    absolute.symlink_to(checkout / "launch.sh")
    relative = bench.cwd / "relative"
    relative.symlink_to(os.path.relpath(absolute, bench.cwd))
    assert bench.run(relative, **no_setup).told["prefix"] == str(checkout / ".venv")
    by_bash = finish(bench.start(Path("/bin/bash"), "relative", **no_setup))
    assert by_bash.told["prefix"] == str(checkout / ".venv")


def test_moved_checkout_needs_no_setup(
    bench: Bench, checkout: Path, no_setup: dict[str, str]
) -> None:
    moved = checkout.rename(checkout.parent / "moved away")
    told = bench.run(moved / "launch.sh", **no_setup).told
    assert told["prefix"] == str(moved / ".venv")
    assert told["main"] == str(moved / "journal_launcher" / "__main__.py")


def test_users_python_variables_do_not_break_it(bench: Bench, checkout: Path) -> None:
    (checkout / ".venv" / "launch.stamp").write_text("older")  # so that pip runs, too
    own = bench.cwd.parent / "own modules"
    own.mkdir()
    (own / "objective.py").touch()
    variables = {"PYTHONPATH": str(own), "PYTHONHOME": "/nonexistent", "PIP_USER": "1"}
    told = bench.run(checkout / "launch.sh", **variables).told
    assert told["prefix"] == str(checkout / ".venv")


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_changed_dependencies_are_installed_in_place(
    bench: Bench, checkout: Path, changed: str
) -> None:
    kept = checkout / ".venv" / "kept"
    kept.touch()
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert bench.run(checkout / "launch.sh").err.startswith(f"updating {checkout}/.venv")
    assert kept.exists()
    assert bench.run(checkout / "launch.sh").err == ""


def test_interrupted_setup_is_done_again_when_its_pip_has_ended(
    bench: Bench, checkout: Path
) -> None:
    venv = checkout / ".venv"
    with socket.create_server(("127.0.0.1", 0)) as index:  # accepts, and never answers
        index.settimeout(60)
        url = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        hang = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": url}
        first = bench.start(checkout / "launch.sh", "test", **hang)
        connection, _ = index.accept()
        with connection:
            (venv / "half installed").touch()
            bootstrap, pip = psutil.Process(first.pid).children(recursive=True)
            first.kill()
            bootstrap.kill()
            second = bench.start(checkout / "launch.sh")
            assert second.stderr is not None
            assert second.stderr.readline().startswith("waiting for another launch.sh")
            assert (venv / "half installed").exists()
            pip.kill()
    ran = finish(second)
    assert ran.told["leaf"].startswith(str(venv))
    assert ran.err.startswith("setting up ")
    assert not (venv / "half installed").exists()


def test_two_at_once_replace_an_upgraded_python_once(bench: Bench, checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3.10")
    both = [bench.start(checkout / "launch.sh") for _ in range(2)]
    told = sorted(ran.err.split()[0] for ran in map(finish, both) if ran.told)
    assert told == ["setting", "waiting"]


def test_somebody_elses_venv_is_left_alone(bench: Bench, checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    make_environment(checkout / ".venv")
    error = bench.run(checkout / "launch.sh").error
    assert f"found another one at {checkout}/.venv; activate it" in error
    assert (checkout / ".venv" / "pyvenv.cfg").exists()


def test_failing_pip_is_one_line_and_keeps_what_worked(bench: Bench, checkout: Path) -> None:
    offline = {"PIP_FIND_LINKS": ""}
    failed = bench.run(checkout / "launch.sh", "test", **offline)
    assert failed.code == 2
    assert failed.err.splitlines()[1:] == [
        f"error: pip could not install the dependencies, see {checkout}/.venv/setup.log; check the "
        "network connection and the free disk space, and type the same command again"
    ]
    assert bench.run(checkout / "launch.sh").err == ""  # the launcher itself still starts
    shutil.rmtree(checkout / ".venv")
    assert "setup.log" in bench.run(checkout / "launch.sh", **offline).error


def added(checkout: Path) -> list[str]:
    """What lies in .venv of the package that a user adds."""
    found = checkout.glob(".venv/lib/python*/site-packages/moss-*.dist-info")
    return [path.name.removesuffix(".dist-info") for path in found]


def test_pip_adds_to_the_own_venv_and_changes_nothing_that_is_needed(
    bench: Bench, checkout: Path
) -> None:
    pip = (checkout / "launch.sh", "pip")
    ran = bench.run(*pip, "install", "--upgrade", "moss", "leaf", PIP_USER="1")
    assert ran.code == 0, ran.err
    assert added(checkout) == ["moss-1.1"]
    assert bench.run(*pip, "install", "leaf==2.0").code == 1
    listed = bench.run(*pip, "freeze")
    assert listed.out.split() == ["leaf==1.0", "moss==1.1"]
    assert bench.run(*pip, "no-such-command").code == 1
    ran = bench.run(checkout / "launch.sh", "a b")
    assert ran.told["leaf"] and ran.err == ""


def test_what_was_added_survives_an_update_and_a_set_up_anew(bench: Bench, checkout: Path) -> None:
    pip = (checkout / "launch.sh", "pip")
    assert bench.run(*pip, "install", "moss==1.0").code == 0
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert bench.run(checkout / "launch.sh").err.startswith("updating ")
    assert added(checkout) == ["moss-1.0"]
    (checkout / ".venv" / "launch.stamp").unlink()  # as after an interrupted update
    offline = bench.run(checkout / "launch.sh", PIP_FIND_LINKS="")
    assert offline.code == 2 and added(checkout) == []
    assert bench.run(checkout / "launch.sh").err.startswith("setting up ")
    assert added(checkout) == ["moss-1.0"]
    assert bench.run(checkout / "launch.sh").err == ""


def test_what_cannot_be_added_again_is_said_and_ends_nothing(bench: Bench, checkout: Path) -> None:
    (checkout / ".venv" / "launch.stamp").unlink()
    (checkout / ".venv" / "added.json").write_text('["gone==1.0"]')
    ran = bench.run(checkout / "launch.sh")
    assert ran.told["leaf"]
    line = ran.err.splitlines()[1]
    assert line.startswith("not installed again, see ") and "gone==1.0" in line
    assert bench.run(checkout / "launch.sh").err == ""


def test_what_is_removed_and_needed_comes_back(bench: Bench, checkout: Path) -> None:
    ran = bench.run(checkout / "launch.sh", "pip", "uninstall", "--yes", "leaf")
    script = shlex.quote(str(checkout / "launch.sh"))
    assert (ran.code, ran.err) == (
        0,
        f"needed: leaf; the next {script} installs it again\n",
    )
    ran = bench.run(checkout / "launch.sh")
    assert ran.told["leaf"] and ran.err.startswith("updating ")


def test_pip_of_another_python_is_for_its_owner(
    bench: Bench, checkout: Path, tmp_path: Path
) -> None:
    virtual = make_environment(tmp_path / "virtual", make_checkout(tmp_path / "elsewhere"))
    error = bench.run(
        checkout / "launch.sh", "pip", "install", "moss", VIRTUAL_ENV=str(virtual)
    ).error
    assert error.endswith(f"type: '{virtual}/bin/python' -m pip install moss")
    assert added(checkout) == []


def test_order_of_pythons(bench: Bench, checkout: Path, tmp_path: Path) -> None:
    """The named one, then an active one that has journal_launcher, then our own."""
    elsewhere = make_checkout(tmp_path / "elsewhere")
    named, virtual, conda = (
        str(make_environment(tmp_path / name, elsewhere)) for name in ("named", "virtual", "conda")
    )
    without = str(make_environment(tmp_path / "without"))
    chosen = {"JOURNAL_LAUNCHER_PYTHON": f"{named}/bin/python"}

    def prefix(**env: str) -> str:
        found: str = bench.run(checkout / "launch.sh", **env).told["prefix"]
        return found

    assert prefix(**chosen, VIRTUAL_ENV=virtual, CONDA_PREFIX=conda) == named
    assert prefix(VIRTUAL_ENV=virtual, CONDA_PREFIX=conda) == virtual
    assert prefix(VIRTUAL_ENV=without, CONDA_PREFIX=conda) == conda
    assert prefix(VIRTUAL_ENV=without, CONDA_PREFIX="/nonexistent") == str(checkout / ".venv")


def test_named_python_without_launcher_is_refused(
    bench: Bench, checkout: Path, tmp_path: Path
) -> None:
    python = make_environment(tmp_path / "without") / "bin" / "python"
    error = bench.run(checkout / "launch.sh", JOURNAL_LAUNCHER_PYTHON=str(python)).error
    assert error.endswith(f"type: '{python}' -m pip install '{checkout}'")


def test_own_venv_is_repaired_while_active(bench: Bench, checkout: Path) -> None:
    venv = checkout / ".venv"
    (venv / "launch.stamp").unlink()
    env = {"VIRTUAL_ENV": str(venv), "PATH": f"{venv}/bin:{bench.env['PATH']}"}
    ran = bench.run(checkout / "launch.sh", **env)
    assert ran.told["prefix"] == str(venv)
    assert ran.err.startswith("setting up ")
    assert os.path.realpath(venv / "bin" / "python") == BASE_PYTHON


def test_too_old_python(bench: Bench, checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    for name in PYTHON_NAMES:
        old = 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac'
        make_script(tmp_path / "old" / name, old)
    path = f"{tmp_path / 'old'}:/usr/bin:/bin"
    error = bench.run(checkout / "launch.sh", PATH=path).error
    assert "expected Python 3.11 or newer, found Python 3.9.2; install one (apt install" in error


def test_no_python(bench: Bench, checkout: Path, no_setup: dict[str, str]) -> None:
    shutil.rmtree(checkout / ".venv")
    assert "or newer, found none; install" in bench.run(checkout / "launch.sh", **no_setup).error


def test_python_without_ensurepip(bench: Bench, checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    hide = "import runpy, sys; sys.modules['ensurepip'] = None; del sys.argv[0]; "
    hide += "runpy.run_path(sys.argv[0], run_name='__main__')"
    real = f'"{BASE_PYTHON}" -I -c'
    body = f'shift; case "$1" in -c) exec {real} "$2";; *) exec {real} "{hide}" "$@";; esac'
    python = make_script(tmp_path / "split" / "python3", body)
    error = bench.run(checkout / "launch.sh", PATH=f"{python.parent}:/usr/bin:/bin").error
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert error.endswith(f"type: apt install python{version}-venv")
    assert not (checkout / ".venv").exists()


def test_tests_always_run_in_the_own_venv(bench: Bench, checkout: Path, tmp_path: Path) -> None:
    other = make_environment(tmp_path / "other", make_checkout(tmp_path / "elsewhere"))
    active = {"VIRTUAL_ENV": str(other), "JOURNAL_LAUNCHER_PYTHON": str(other / "bin" / "python")}
    ran = bench.run(checkout / "launch.sh", "test", "-k", "a name", **active)
    assert ran.told["prefix"] == str(checkout / ".venv")
    assert ran.told["cwd"] == str(checkout)
    by_default = ["-n", "3", "--dist", "worksteal", "-m", "not slow"]
    assert ran.told["argv"] == [*by_default, "-k", "a name"]
    assert list(checkout.glob(".venv/lib/python*/site-packages/twig.py"))  # an extra's extra
    by_hand = bench.run(checkout / "launch.sh", "test", "-x", "--pdb", **active)
    assert by_hand.told["argv"] == ["-n", "0", *by_default[2:], "-x", "--pdb"]
    again = bench.run(checkout / "launch.sh", "test", "--slow", "-x", **active)
    assert (again.told["argv"], again.err) == (["-x"], "")
    without = bench.run(checkout / "launch.sh", "test", "--gpu", "-x", **active)
    assert (without.code, without.out) == (2, "")
    assert without.err.startswith("error: expected a GPU that torch can open, found none; --cpu ")
    assert without.err.count("\n") == 1
    dry = bench.run(checkout / "launch.sh", "test", "--gpu", "--cpu", "-x", **active)
    assert (dry.told["argv"], dry.err) == (["tests/gpu", "--cpu", "-x"], "")
    (site,) = checkout.glob(".venv/lib/python*/site-packages")
    (site / "torch.py").write_text("def ones(size, device): assert device == 'cuda'")
    on_gpu = bench.run(checkout / "launch.sh", "test", "--gpu", "-x", **active)
    assert (on_gpu.told["argv"], on_gpu.err) == (["tests/gpu", "-x"], "")
    assert bench.run(checkout / "launch.sh").err == ""
