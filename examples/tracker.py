"""A tracker in a few lines: points follow the brightest neighbour. All trajectory metrics come with it: `epe_bright`.

An entry point `flashbench.metrics`: bright = "my_package.tracker:PLUGIN"
flashbench score RUN --metrics epe_bright,miou_bright
"""

import numpy as np

from flashbench.field.trackers import tracker_plugin
from flashbench.tracking.objects import PointObjects
from flashbench.tracking.protocol import PointTracks


class Bright:
    name, fingerprint = "bright", "bright-1"

    def track_points(self, video, queries):
        """video uint8 [T, H, W, 3]; queries [N, 2] px (x, y) on frame 0 -> points [N, T, 2], visible [N, T]."""
        height, width = video.shape[1:3]
        points = np.repeat(queries[:, None], len(video), axis=1)
        for t in range(1, len(video)):
            grey = video[t].mean(-1)
            for n, (x, y) in enumerate(points[:, t - 1].round().astype(int)):
                x0, y0 = np.clip(x - 2, 0, width - 5), np.clip(y - 2, 0, height - 5)
                dy, dx = np.unravel_index(grey[y0 : y0 + 5, x0 : x0 + 5].argmax(), (5, 5))
                points[n, t] = x0 + dx, y0 + dy
        return PointTracks(points.astype(np.float32), np.ones(points.shape[:2], np.bool_))


PLUGIN = tracker_plugin("bright", lambda weights: PointObjects(Bright()), "Apache-2.0", "nothing: it has no weights")
