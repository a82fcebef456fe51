"""onnxruntime, which tells nobody of its use: the one place that imports it.

As it is installed it writes an identifier of the machine into the home folder and queues events for Microsoft, unless
the environment forbids it before it is loaded ("Disabling Telemetry" in its Privacy.md).
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
