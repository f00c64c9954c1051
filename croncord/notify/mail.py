"""Handing mail to an SMTP server (RFC 5321), by the standard library's client in threads of its own.

Threads of its own, because a server that answers drop by drop may hold one for long, and the event
loop's are for others.
"""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from croncord.notice_text import headline, link_to, text
from croncord.notification import Delivery, Smtp
from croncord.notify.undelivered import Undelivered

STEP_SECONDS: Final = 15.0
TOTAL_SECONDS: Final = 60.0
_THREADS: Final = 2
_SHOWN_CHARACTERS: Final = 200


class Mailer:
    """Sends mail."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")

    async def send(self, smtp: Smtp, password: str, message: EmailMessage) -> None:
        """Hand it over. Raises Undelivered, also when only some of the receivers were accepted."""
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, _hand_over, smtp, password, message
        )
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await work
        except TimeoutError:
            raise Undelivered(f"{smtp.host} takes too long to answer", reached=False) from None
        except smtplib.SMTPRecipientsRefused as error:
            refused = ", ".join(sorted(error.recipients))
            raise Undelivered(f"{smtp.host} refuses {refused}", reached=True) from None
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            words = " ".join(words.split())[:_SHOWN_CHARACTERS]
            is_busy = 400 <= error.smtp_code < 500
            raise Undelivered(
                f"{smtp.host} answered {error.smtp_code} {words}", reached=not is_busy
            ) from None
        except ssl.SSLCertVerificationError:
            message_ = f"the certificate of {smtp.host} is not one that this machine trusts"
            raise Undelivered(message_, reached=False) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            words = str(error)[:_SHOWN_CHARACTERS] or type(error).__name__
            raise Undelivered(f"{smtp.host}: {words}", reached=False) from None

    def close(self) -> None:
        """Let go of the threads; what is under way there is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def compose(
    delivery: Delivery, *, sender: str, to: Sequence[str], cluster_id: str, url: str
) -> EmailMessage:
    """Return the mail of a delivery. The same delivery has the same Message-ID when it is repeated."""
    notice = delivery.notice
    message = EmailMessage()
    message["Subject"] = f"CronCord: {headline(notice)}"[:200]
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(notice.at)
    message["Message-ID"] = f"<{delivery.id}@{cluster_id or 'cluster'}.croncord.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-CronCord-Event"] = notice.kind
    message.set_content(text(notice, link_to(url, notice)) + "\n")
    return message


def _hand_over(smtp: Smtp, password: str, message: EmailMessage) -> None:
    context = ssl.create_default_context()
    name = socket.gethostname()
    client: smtplib.SMTP
    if smtp.security == "tls":
        client = smtplib.SMTP_SSL(
            smtp.host, smtp.port, local_hostname=name, timeout=STEP_SECONDS, context=context
        )
    else:
        client = smtplib.SMTP(smtp.host, smtp.port, local_hostname=name, timeout=STEP_SECONDS)
    with client:
        if smtp.security == "starttls":
            client.starttls(context=context)
        if smtp.username:
            client.login(smtp.username, password)
        if refused := client.send_message(message):
            raise smtplib.SMTPRecipientsRefused(refused)
