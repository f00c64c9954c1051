"""Job definitions in files: TOML, JSON or YAML, one job or many, scripts inside or beside them.

    [[jobs]]
    name = "backup"
    schedule = "30 2 * * *"
    script_file = "backup.sh"      # beside this file; or script = '''…'''

A file may also be one job alone, with its fields at the top level.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from croncord.cli import toml
from croncord.cli.job_fields import read_script
from croncord.cli.yaml_text import parse_yaml
from croncord.errors import ConfigError, FieldError, Invalid
from croncord.model import JobSpec
from croncord.validation import READ_ONLY, read_job

_KINDS = {".toml": "TOML", ".json": "JSON", ".yaml": "YAML", ".yml": "YAML"}


def read_jobs(path: Path) -> list[JobSpec]:
    """Return the jobs that a file, or every such file of a directory, describes.

    Raises ConfigError for a file that cannot be read, and Invalid naming every wrong field of
    every job.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in _KINDS)
        if not files:
            raise ConfigError(f"{path} holds no .toml, .json or .yaml file")
    else:
        files = [path]
    jobs: list[JobSpec] = []
    errors: list[FieldError] = []
    for file in files:
        for number, fields in enumerate(_described(file), start=1):
            try:
                jobs.append(_read(fields, file))
            except Invalid as e:
                label = f"{file.name}, {fields.get('name') or f'job {number}'}"
                errors += [FieldError(f"{label}: {w.field}", w.message) for w in e.errors]
    if errors:
        raise Invalid(errors, hint="Nothing was changed.")
    return jobs


def _described(file: Path) -> Sequence[dict[str, Any]]:
    kind = _KINDS.get(file.suffix, "TOML")
    try:
        text = file.read_bytes().decode("utf-8")
        value = parse_yaml(text) if kind == "YAML" else parse(text, json=kind == "JSON")
    except OSError as e:
        raise ConfigError(f"cannot read {file}: {e.strerror}") from e
    except ValueError as e:
        raise ConfigError(f"{file} is not {kind}: {e}") from e
    jobs = [value] if isinstance(value, dict) and "name" in value else value
    if isinstance(jobs, dict):
        jobs = jobs["jobs"] if list(jobs) == ["jobs"] else None
    if not isinstance(jobs, list) or not all(isinstance(j, dict) for j in jobs):
        raise ConfigError(
            f"{file} describes no jobs",
            hint="It needs `[[jobs]]` tables, or a list named `jobs`; `croncord job export` shows the form.",
        )
    return jobs


def parse(text: str, *, json: bool) -> Any:
    """Read JSON or TOML text; raises ValueError saying where it is wrong."""
    if not json:
        return tomllib.loads(text)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as e:
        raise ValueError(str(e)) from e


def _read(fields: Mapping[str, Any], file: Path) -> JobSpec:
    fields = dict(fields)
    if "script_file" in fields:
        beside = fields.pop("script_file")
        if "script" in fields:
            message = "is given beside script; one of them is enough"
            raise Invalid([FieldError("script_file", message)])
        fields["script"] = read_script(str(file.parent / str(beside)))
    return read_job(fields)


def job_fields(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person says about a job, without what the cluster adds and without defaults."""
    said = {k: v for k, v in job.items() if k not in READ_ONLY}
    fields: dict[str, Any] = msgspec.to_builtins(read_job(said))
    plain: dict[str, Any] = msgspec.to_builtins(JobSpec(name=job["name"], script=job["script"]))
    kept = {k: _without_defaults(v, plain[k]) for k, v in fields.items() if v != plain[k]}
    rest = {k: v for k, v in kept.items() if k not in {"schedule", "script"}}
    first = {"name": job["name"], "schedule": job["schedule"]}
    return {**first, **rest, "script": job["script"]}


def _without_defaults(value: Any, default: Any) -> Any:
    if isinstance(value, dict) and default:
        return {k: v for k, v in value.items() if v != default.get(k)}
    return value


def write_jobs(jobs: Sequence[Mapping[str, Any]], *, json: bool) -> str:
    """Return the text of a file that describes these jobs."""
    fields = [job_fields(job) for job in jobs]
    if json:
        return msgspec.json.format(msgspec.json.encode({"jobs": fields}), indent=2).decode() + "\n"
    return toml.document(fields)
