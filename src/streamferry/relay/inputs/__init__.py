"""Several inputs in order and a slate: which of them is on air, and what each needs to come on air.

One publish session and one timeline for all of them. A task with one input and no slate needs nothing from here.
"""
