"""Going on by learning again: methods that begin anew each time learn the rows of earlier data sets beside the new ones, as far as those are still there.

That is replay with a memory as large as the data, or as large as is said, and forgets least of all ways; it costs more with every data set. What was
erased is gone from what is learnt, without anything else to do.
"""

from dataclasses import replace

from freehold.training.continual.history import history
from freehold.training.continual.replay import replayed
from freehold.training.lesson import NO_ROWS, check_several
from freehold.training.method import Job


def with_earlier(job: Job, replay: int | None) -> Job:
    """The job with the rows that the one it goes on from learnt. `replay`: of each answer as many of those altogether; all of them where nothing is said.

    Settings are chosen by the calibration parts of all data sets; the test part stays the new one's. Raises TrainingError where all rows together
    have one answer.
    """
    if job.earlier is None or not job.earlier.lessons:
        check_several(job.lesson, job.task.id)
        return job
    past = history(job.earlier, job.lesson)
    earlier = [one.train for one in past[:-1]]
    again = earlier if replay is None else replayed(earlier, replay, job.plan.seed)
    train = sum(again, NO_ROWS) + past[-1].train
    calibrate = sum((one.calibrate for one in past), NO_ROWS)
    lesson = replace(job.lesson, train=train, calibrate=calibrate)
    check_several(lesson, job.task.id)
    return replace(job, lesson=lesson)
