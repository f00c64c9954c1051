"""Reads crontabs: what each line means, and the job that does the same.

lines = read_crontab(text, system=True)
for line in lines: print(describe(line))
for entry, fields in job_fields(lines, file="/etc/crontab", timezone="Europe/Berlin"): ...
"""

from croncord.crontab.jobs import describe, job_fields
from croncord.crontab.lines import Assignment, Entry, Line, Refusal
from croncord.crontab.reader import read_crontab

__all__ = ["Assignment", "Entry", "Line", "Refusal", "describe", "job_fields", "read_crontab"]
