"""Floor 3: the exercises of notebook 08."""

from recsys_teach.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = ()
