"""An embedded Lasair for trying and testing, of ZTF or of Rubin: a simulated night, Lasair's SQL rules, its interface.

Nothing in it is an observation: ZTF's identifiers are of the year 99, Rubin's begin with 9, hosts are called
simulated, every answer says so.
"""

from annotator.sandbox.lasair.api import Account, Topic
from annotator.sandbox.lasair.lsst.server import LsstSandbox
from annotator.sandbox.lasair.server import Sandbox
from annotator.sandbox.sky.night import simulate_night
from annotator.sandbox.sky.rubin.night import simulate_rubin_night

__all__ = ["Account", "LsstSandbox", "Sandbox", "Topic", "simulate_night", "simulate_rubin_night"]
