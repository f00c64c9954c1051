"""The door for browsers and programs: HTTP API and pages."""
