"""A mail as it goes to the server: headers that nobody can add to, text, HTML, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.charset import QP, Charset
from email.header import Header
from email.mime.application import MIMEApplication
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formataddr, formatdate, make_msgid, parseaddr
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import Message

    from pymanip_run.mail.account import Account

__all__ = ["Attachment", "Figure", "Letter", "one_line", "to_message"]

LONGEST_SUBJECT = 200
LONGEST_LINE = 998  # RFC 5322 2.1.1


@dataclass(frozen=True)
class Figure:
    """A picture that is shown in the mail: its title, and the bytes of a PNG file."""

    title: str
    png: bytes = field(repr=False)


@dataclass(frozen=True)
class Attachment:
    """A file that goes with the mail: its name, and what is in it, a page of HTML."""

    name: str
    html: bytes = field(repr=False)


@dataclass(frozen=True)
class Letter:
    """What a mail says; `html` refers to the n-th figure as ``cid:figure-n``."""

    subject: str
    text: str
    html: str
    figures: Sequence[Figure] = ()
    attachments: Sequence[Attachment] = ()


def one_line(text: str) -> str:
    """Return a text as one line, without anything that is no visible character."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def to_message(letter: Letter, account: Account) -> Message:
    """Return a letter as a message (RFC 5322, RFC 2045 to 2047)."""
    content = MIMEMultipart("alternative")
    content.attach(_text(letter.text, "plain"))
    content.attach(_with_figures(_text(letter.html, "html"), letter.figures))
    message = _with_attachments(content, letter.attachments)
    message["Subject"] = _subject(one_line(letter.subject))  # type: ignore[assignment]
    message["From"] = _address(account.sender)
    message["To"] = ", ".join(map(_address, account.recipients))
    message["Date"] = formatdate(SYSTEM.time(), localtime=True)
    # With the domain of the sender: our own name would have to be asked for in the network.
    message["Message-ID"] = make_msgid(domain=parseaddr(account.sender)[1].rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers from answering machines
    return message


def _with_attachments(content: MIMEMultipart, attachments: Sequence[Attachment]) -> MIMEMultipart:
    if not attachments:
        return content
    mixed = MIMEMultipart("mixed")
    mixed.attach(content)
    for attachment in attachments:
        # In base64: a page may have lines that are longer than mails can hold.
        file = MIMEApplication(attachment.html, "octet-stream")
        file.set_type("text/html")
        file.set_param("charset", "utf-8")
        file.add_header("Content-Disposition", "attachment", filename=one_line(attachment.name))
        mixed.attach(file)
    return mixed


class _Unfolded(Header):
    """A header in one line: folding would begin it with an empty one where its first word is long."""

    def encode(
        self, splitchars: str = "", maxlinelen: int | None = None, linesep: str = "\n"
    ) -> str:
        del maxlinelen
        return super().encode(splitchars, LONGEST_LINE, linesep)


def _subject(text: str) -> Header:
    # `EmailMessage` loses blanks where it folds.
    if len(text) > LONGEST_SUBJECT:
        text = text[: LONGEST_SUBJECT - 1] + "…"
    if text.isascii() and "=?" not in text:
        return _Unfolded(text, "ascii", header_name="Subject")
    return Header(text, "utf-8", header_name="Subject")


def _address(text: str) -> str:
    name, address = parseaddr(text)
    return formataddr((one_line(name), address))


def _text(text: str, kind: str) -> MIMEText:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    # What cannot be encoded has no place in a mail.
    return MIMEText(text.encode("utf-8", "replace").decode(), kind, charset)  # type: ignore[arg-type]


def _with_figures(html: MIMEText, figures: Sequence[Figure]) -> Message:
    if not figures:
        return html
    related = MIMEMultipart("related")
    related.attach(html)
    for number, figure in enumerate(figures):
        picture = MIMEImage(figure.png, "png")
        picture["Content-ID"] = f"<figure-{number}>"
        picture.add_header("Content-Disposition", "inline", filename=f"figure-{number}.png")
        related.attach(picture)
    return related
