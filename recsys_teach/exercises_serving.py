"""Floor 3: the exercises of notebook 07."""

from recsys_teach.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = ()
