"""One output clock for a whole run: order, join, repair, pace. Pure: stamps in, stamps out, no clock of its own."""

from streamferry.timeline.joins import Joins
from streamferry.timeline.pace import Pace
from streamferry.timeline.timeline import Timeline

__all__ = ["Joins", "Pace", "Timeline"]
