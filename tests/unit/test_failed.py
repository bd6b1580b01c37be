"""The errors of failed jobs, found again for the last lines of a run."""

from pathlib import Path

from tags2masks.workflow.failed import failures

RUN = """Error in rule folder:
    jobid: 0
    log: logs/mine/index.log (check log file(s) for error details)
    shell:
Error in rule cam:
    log: logs/mine/cam.log (check log file(s) for error details)
Error in rule cam:
    log: logs/mine/cam.log (check log file(s) for error details)
Error in rule crf:
    log: logs/gone.log (check log file(s) for error details)
"""


def test_each_failed_job_says_its_error_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("logs/mine").mkdir(parents=True)
    Path("run.log").write_text(RUN)
    Path("logs/mine/index.log").write_text(
        "error: long ago\n" + "image 1\n" * 40 + "error: a.png: damaged\nerror: b.png: too\n\n"
    )
    Path("logs/mine/cam.log").write_text("Traceback (most recent call last):\nKeyError: 'x'\n")
    expected = [
        "logs/mine/index.log: error: a.png: damaged",
        "logs/mine/index.log: error: b.png: too",
        "logs/mine/cam.log: KeyError: 'x'",
    ]
    assert failures("run.log") == failures([Path("run.log")]) == expected
    assert failures("no.log") == []


def test_a_torchvision_that_does_not_fit_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = "RuntimeError: operator torchvision::nms does not exist"
    Path("cam.log").write_text(f"Traceback (most recent call last):\n{said}\n")
    log = "    log: cam.log (check log file(s) for error details)\n"
    Path("run.log").write_text(f"Error in rule cam:\n{log}")
    assert failures("run.log") == [
        f"cam.log: error: torch and torchvision do not fit together ({said}); see docs/install.md, "
        "'Your own torch'"
    ]
