"""Training in a reduced environment, such as a lent machine's."""

from __future__ import annotations

import subprocess
import sys


def test_training_needs_no_video_decoder() -> None:
    modules = "flashmotion.cli, flashmotion.train, flashmotion.training.pool"
    stages = "base, slow_adapter, fast_generator, fast_adapter, slow_tuned, lcm, dmd, gan_only, fixed_lambda"
    lines = [
        "import sys",
        "sys.modules['av'] = sys.modules['cv2'] = sys.modules['pandas'] = None",
        f"import {modules}",
        f"from flashmotion.stages import {stages}",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
