"""The health check of the images: is a worker of this container ready?

A worker answers at `VOICEFARM_HTTP_PORT`; those that `voicefarm up` starts answer at the ports
behind it. One that is ready is enough.
"""

from __future__ import annotations

import http.client
import os
import sys

#: Ports that are asked: that of a lone worker, and those of a worker on each of eight GPUs.
PORTS = 9

#: How long one answer may take; the check itself gets 10 s.
ANSWER_S = 8


def answer(port: int) -> tuple[int, str] | None:
    """Return status and body of the page `/readyz`, None if nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        said = connection.getresponse()
        return said.status, said.read().decode(errors="replace").strip()
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


def main() -> int:
    """Print what the workers say; 0 if one of them is ready, else 1."""
    first = int(os.environ.get("VOICEFARM_HTTP_PORT", "9464"))
    answers = [said for port in range(first, first + PORTS) if (said := answer(port)) is not None]
    for status, body in answers:
        sys.stdout.write(f"{status} {body}\n")
    if not answers:
        sys.stdout.write(f"nobody answers at 127.0.0.1:{first}\n")
    return 0 if any(status == http.client.OK for status, _ in answers) else 1


if __name__ == "__main__":
    sys.exit(main())
