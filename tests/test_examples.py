from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.program import BIN, ROOT, environment, serving


def test_the_conversation_through_both_faces(folder: Path) -> None:
    command = [f"{BIN}/fhir-server", "serve", "--demo"]
    with serving(command, folder, environment(folder)) as program:
        done = subprocess.run(
            [sys.executable, ROOT / "examples/conversation.py", program.address],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stored Encounter/home" in done.stdout
    assert done.stdout.endswith(
        "Practitioner/amina: 150/95 this morning. Dose up?\n"
        "Practitioner/farid: Yes, to 10 mg, and see her on Monday.\n"
    )
