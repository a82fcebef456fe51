"""An embedded Lasair-ZTF for trying and testing: a simulated night, Lasair's SQL rules and its REST interface.

Nothing in it is an observation: identifiers are of the year 99, hosts are called simulated, every answer says so.
"""

from annotator.sandbox.lasair.api import Account, Topic
from annotator.sandbox.lasair.server import Sandbox
from annotator.sandbox.sky.night import simulate_night

__all__ = ["Account", "Sandbox", "Topic", "simulate_night"]
