"""The API against its own document: requests made from it and against it, to a real node.

Whatever is sent, the answer is one that the document names, of the shape it gives, and never a
server error. Streams are left out: they do not end.
"""

import os
import re
import subprocess
import sys

import pytest
from fleet import Fleet

pytestmark = pytest.mark.hostile

EXAMPLES = os.environ.get("CRONCORD_HOSTILE_EXAMPLES", "15")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,unsupported_method"
)


def test_every_answer_is_one_of_the_document(tmp_path):
    with Fleet(tmp_path, 1) as fleet:
        node = fleet.nodes[0]
        node.call("PUT", "/api/v1/jobs/0", {"script": "true\n"})
        # This token is no part of the agreed state: nothing that is sent can revoke it.
        token = (node.data_dir / "admin.token").read_text().strip()
        program = os.path.join(os.path.dirname(sys.executable), "schemathesis")  # noqa: PTH118, PTH120
        command = [program, "run", f"{node.url}/api/v1/openapi.json", "--no-color"]
        command += ["--header", f"Authorization: Bearer {token}", "--checks", CHECKS]
        command += ["--max-examples", EXAMPLES, "--exclude-path-regex", "/events$|/log$"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
        tested = re.search(r"Tested: (\d+)", done.stdout)
        assert tested, done.stdout[-2000:]
        assert int(tested[1]) > 50
        assert node.call("GET", "/readyz").status == 200
        assert "Traceback" not in node.log.read_text()
