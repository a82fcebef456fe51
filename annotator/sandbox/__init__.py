"""An embedded Lasair: what is there, how Lasair answers, and its stream. For trying and testing; nothing is observed."""

from annotator.sandbox.lasair.server import Account, Sandbox, Topic
from annotator.sandbox.sky.night import simulate_night

__all__ = ["Account", "Sandbox", "Topic", "simulate_night"]
