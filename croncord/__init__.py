"""CronCord: a cron for a fleet of machines, with no master to lose."""

__version__ = "0.1.0"
