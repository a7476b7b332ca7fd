"""Files that appear when they are complete."""

import subprocess
import sys


def test_processes_that_write_a_file_at_once_do_not_trip_each_other(tmp_path):
    code = (
        "import sys; from pathlib import Path; from sweeps.base.atomic_file import write_text\n"
        "for number in range(300): write_text(Path(sys.argv[1]), f'{number}\\n')"
    )
    file = tmp_path / "trials.csv"
    command = [sys.executable, "-c", code, str(file)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    assert file.read_text() == "299\n"
    assert list(tmp_path.iterdir()) == [file]
