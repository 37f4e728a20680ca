"""A Ray cluster of several nodes on this machine, and a classifier that leaves a trace of where it heard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

OBJECT_STORE_BYTES = 80 * 2**20
NODE = "SER_AGENT_TEST_NODE"
HANGS = "hangs"
"""A node of that name begins to hear, and never answers."""
WITNESS = f'''
import os
import time
import uuid
from pathlib import Path
from typing import Literal

from ser_agent.options import ClassifierOptions
from ser_agent.testing import FakeClassifier


class WitnessOptions(ClassifierOptions):
    type: Literal["witness"] = "witness"
    folder: str


class WitnessClassifier(FakeClassifier):
    """Leaves an empty file named after its node for each batch."""

    Options = WitnessOptions

    def __init__(self, options, context):
        super().__init__()
        self._folder = Path(options.folder)

    def classify(self, utterances):
        node = os.environ.get("{NODE}", "head")
        (self._folder / f"{{node}}-{{uuid.uuid4().hex}}").touch()
        if node == "{HANGS}":
            time.sleep(300)
        return super().classify(utterances)
'''


class RayNodes:
    """Nodes of one processor each. Use as a context manager: it ends what it started and removes its files."""

    def __init__(self, site: Path) -> None:
        """Prepare.

        Args:
            site: a folder to be made, for packages that all nodes have: the witness's.
        """
        information = site / "witness-1.0.dist-info"
        information.mkdir(parents=True)
        (site / "witness.py").write_text(WITNESS, encoding="utf-8")
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: witness\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(
            "[ser_agent.classifiers]\nwitness = witness:WitnessClassifier\n"
        )
        # Short: the path of a Unix socket may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="ser-", dir="/tmp"))
        self.environment = os.environ | {
            "PYTHONPATH": str(site),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
        }
        self._cluster: Any = None

    def __enter__(self) -> Self:
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "temp_dir": str(self.folder),
                "env_vars": self.environment,
            },
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return str(self._cluster.address)

    @property
    def logs(self) -> list[Path]:
        """The files that Ray has written its logs to."""
        return [path for path in self.folder.glob("session_2*/logs/**/*") if path.is_file()]

    def add(self, name: str) -> object:
        """Start another node; the witness knows it by its name."""
        node: object = self._cluster.add_node(
            num_cpus=1, object_store_memory=OBJECT_STORE_BYTES, env_vars=self.environment | {NODE: name}
        )
        return node

    def kill(self, node: object) -> None:
        """Kill a node's processes."""
        self._cluster.remove_node(node, allow_graceful=False)

    def classify(self, arguments: Sequence[object]) -> subprocess.Popen[str]:
        """Start ``ser-agent classify --ray`` on it."""
        return subprocess.Popen(
            [sys.executable, "-m", "ser_agent", "classify", "--ray", self.address, *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
