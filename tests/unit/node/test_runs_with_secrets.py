"""What a real script is given, what of it is written down, and what stays on the disk."""

# Tests may wait for a disk.

SECRET = "s3cr3t-of-the-run"


def everything_under(path):
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


async def test_a_script_finds_its_secrets_and_its_output_shows_stars(bench):
    script = 'echo "token=$TOKEN"; echo "$TOKEN" >&2; [ "$TOKEN" = s3cr3t"-of-the-run" ]'
    key, end = await bench.run(script, secrets={"TOKEN": SECRET})
    assert (end.exit_code, end.detail) == (0, "")
    assert bench.logs.output(key, 1) == b"token=***\n"
    assert bench.logs.output(key, 2) == b"***\n"


async def test_a_secret_printed_bit_by_bit_is_masked(bench):
    script = (
        'printf "a:"; for ((i = 0; i < ${#TOKEN}; i++)); do printf "%s" "${TOKEN:i:1}"; '
        "sleep 0.005; done; echo"
    )
    key, _ = await bench.run(script, secrets={"TOKEN": SECRET})
    assert bench.logs.output(key, 1) == b"a:***\n"


async def test_what_looks_like_the_beginning_of_a_secret_comes_at_the_end(bench):
    key, _ = await bench.run("printf s3cr3t", secrets={"TOKEN": SECRET})
    assert bench.logs.output(key, 1) == b"s3cr3t"


async def test_nothing_of_a_secret_is_on_the_disk_while_it_runs_or_after(bench):
    key = await bench.launch('echo "$TOKEN"; read <&- ; sleep 60', secrets={"TOKEN": SECRET})
    await bench.logs.until_output(key, b"***")
    assert SECRET.encode() not in everything_under(bench.runs)
    await bench.runner.kill(key, grace_seconds=0)
    await bench.runner.wait(key)
    assert SECRET.encode() not in everything_under(bench.runs)


async def test_a_script_that_cannot_start_leaves_no_secret_behind(bench):
    _, end = await bench.run("#!/no/such/program\n", secrets={"TOKEN": SECRET})
    assert end.outcome == "start_failed"
    assert SECRET.encode() not in everything_under(bench.runs)
    _, end = await bench.run("true", user="nobody-of-that-name", secrets={"TOKEN": SECRET})
    assert end.outcome == "start_failed"
    assert SECRET not in end.detail
    assert SECRET.encode() not in everything_under(bench.runs)


async def test_only_the_run_itself_has_the_secret(bench):
    await bench.run("true", secrets={"TOKEN": SECRET})
    key, _ = await bench.run('echo "[${TOKEN:-none}]"')
    assert bench.logs.output(key, 1) == b"[none]\n"
