"""Launches whose own streams are closed, or have lost their reader: the exit code stays right."""

from launcher.harness import Workshop, finish

QUICK = "def objective(trial):\n    return 0.0\n"


def test_a_result_that_nobody_reads_is_no_failure(workshop: Workshop) -> None:
    workshop.write(QUICK)
    process = workshop.start("--n-trials", "1", "--json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(60) == 0, said
    assert "Traceback" not in said and "BrokenPipe" not in said
    process.stderr.close()


def test_an_error_that_nobody_reads_keeps_its_exit_code(workshop: Workshop) -> None:
    workshop.write(QUICK)
    for wrong in (("--n-trials", "0"), ("--no-such-option",)):
        process = workshop.start(*wrong, "--json")
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 2


def test_a_launch_with_closed_streams_runs_and_nothing_is_printed_into_its_files(
    workshop: Workshop,
) -> None:
    workshop.write(QUICK)
    closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    ended = finish(workshop.start("--n-trials", "1", "--json", prefix=closed))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert workshop.states() == ["COMPLETE"]
