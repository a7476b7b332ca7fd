"""Imported first by the process that workers are forked from, and by no other: what it loads then takes one thread.

The process that sweeps cannot set this for it: a trial may run there meanwhile.
"""

from sweeps.execution import threads

threads.take_one_each()
