"""A metric in a few lines: how far the colours of a video drift from its first frame.

An entry point `flashbench.metrics`: colour = "my_package.metric:PLUGIN"
flashbench score RUN --metrics colour_drift
"""

import numpy as np

from flashbench.metrics.catalogue import Metric
from flashbench.metrics.plugin import Plugin


class Extractor:
    """Measures one video; what it returns is kept under its fingerprint and never measured again."""

    name, fingerprint = "colour", "colour-1"

    def measure(self, video, case, reference):
        means = video.reshape(len(video), -1, 3).mean(1)
        return {"drift": np.abs(means - means[0]).mean(1)}


DRIFT = Metric(
    name="colour_drift",
    unit="levels",
    direction="lower",
    low=0,
    high=255,
    formula="|mean colour of frame t - that of frame 0|, mean over channels and frames",
    source="this example",
    needs=("colour",),
    blind="where a colour is; a frozen video is best",
    worst=255,
    embedded=False,
)
VALUES = {"colour_drift": lambda s: float(s.measured["colour"]["drift"].mean())}
PLUGIN = Plugin("colour", lambda weights: Extractor(), (DRIFT,), VALUES)
