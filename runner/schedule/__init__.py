"""When a pipeline is due and which date that instant has. Pure: the moment it is asked for is an argument.

`due` answers for a whole schedule; below it `cron` knows five fields, `every` distances, `zones` and `moments` what people
type.
"""

from runner.schedule.due import (
    DateError, Fault, Schedule, check_timezone, date_of, due_between, due_for, dues_on, next_due, parse, previous_due,
    run_label, with_first_seen,
)

__all__ = [
    "DateError", "Fault", "Schedule", "check_timezone", "date_of", "due_between", "due_for", "dues_on", "next_due",
    "parse", "previous_due", "run_label", "with_first_seen",
]  # fmt: skip
