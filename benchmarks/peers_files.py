"""Folders of more and more clips through ``ser-agent classify``, beside the paper's loop, file by file.

Each folder is heard by a process of its own, on one thread, whose processor time and peak of memory are the
system's own account of it. A folder of one file tells what starting costs. Clips are of 3 s, FLAC, and stand in a
folder many times by hard links: how fast a disk is, is not measured.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import soundfile

from ser_agent.audio import SAMPLE_RATE
from ser_agent.cli import main
from ser_agent.cli.engines import speech

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLIP_S: Final = 3.0
FILES: Final = (10, 100, 1000, 10_000)
DIFFERENT: Final = 50
PEER_FILES: Final = 20
ROUNDS: Final = 3


def measure_files(counts: Sequence[int], peer: Callable[[Path], object]) -> dict[str, Any]:
    """One row for each size of a folder, and how many times our time for a file the peer takes.

    Files a second are told where they take longer than starting does, and starting is not counted.

    Args:
        counts: of the clips in the folders.
        peer: what hears one file in this process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        clips = write_clips(Path(scratch) / "clips", DIFFERENT)
        start_s, _ = _classify(_folder(Path(scratch), clips, 1))
        peer(clips[0])  # the first is slower
        ratios, rows = [], {}
        for _ in range(ROUNDS):
            began_s = time.process_time()
            for clip in clips[:PEER_FILES]:
                peer(clip)
            theirs_s = (time.process_time() - began_s) / PEER_FILES
            cpu_s, _ = _classify(_folder(Path(scratch), clips, PEER_FILES + 1))
            ratios.append(theirs_s / ((cpu_s - start_s) / PEER_FILES))
        for count in counts:
            cpu_s, peak_mb = _classify(_folder(Path(scratch), clips, count))
            rows[str(count)] = {
                "cpu_s": round(cpu_s, 2),
                "files_a_cpu_second": round((count - 1) / (cpu_s - start_s), 1) if cpu_s > 2 * start_s else None,
                "peak_mb": round(peak_mb, 1),
            }
            print(count, rows[str(count)], flush=True)
    spread = sorted(round(ratio, 2) for ratio in ratios)
    return {"start_cpu_s": round(start_s, 2), "paper_times_ours": spread, "rows": rows}


def write_clips(folder: Path, count: int) -> list[Path]:
    """Different stretches of the bundled conversation as files of ``CLIP_S``."""
    folder.mkdir()
    length = round(CLIP_S * SAMPLE_RATE)
    whole = speech(60.0)
    step = (len(whole) - length) // count
    paths = [folder / f"{number:04}.flac" for number in range(count)]
    for number, path in enumerate(paths):
        soundfile.write(path, whole[number * step :][:length], SAMPLE_RATE)
    return paths


def _folder(scratch: Path, clips: Sequence[Path], count: int) -> Path:
    """A folder with so many clips."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    for number in range(count):
        (folder / f"{number:05}.flac").hardlink_to(clips[number % len(clips)])
    return folder


def _classify(folder: Path) -> tuple[float, float]:
    """Hear a folder.

    Returns:
        Seconds of the processor, and MiB of memory at most.
    """
    lines = folder.with_suffix(".jsonl")
    with lines.open("wb") as output:
        command = [sys.executable, "-m", __name__, str(folder)]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=True)
    told = len(lines.read_text(encoding="utf-8").splitlines())
    if told != len(list(folder.iterdir())):
        raise SystemExit(f"ser-agent classify: {told} lines for {folder}")
    used = json.loads(done.stderr)
    return used["cpu_s"], used["peak_mb"]


def peak_mb() -> float:
    """MiB of memory that this program has had at most; ``getrusage`` counts what started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kb,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(kb) / 1024


def _main(folder: str) -> None:
    code = main(["classify", "--jsonl", "--set", "classifier.threads=1", folder])
    json.dump({"cpu_s": time.process_time(), "peak_mb": peak_mb()}, sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    _main(sys.argv[1])
