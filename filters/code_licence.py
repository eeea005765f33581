"""Filter `code_licence`: code in an answer that carries the licence header of somebody's file."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from filters.base import Filter
from filters.markup import parts
from filters.sample import Sample
from filters.verdict import KEEP, Verdict, note, reject

_TAG = re.compile(r"SPDX-License-Identifier:[ \t]{0,4}([A-Za-z0-9.+()\- \t]{1,200})", re.IGNORECASE)
_COMMENT = re.compile(r"[\s*#/;%\"'|!<>-]+")
_HEADERS = {
    "gnu affero general public license": "AGPL-3.0-or-later",
    "gnu lesser general public license": "LGPL-2.1-or-later",
    "gnu library general public license": "LGPL-2.0-or-later",
    "gnu general public license": "GPL-2.0-or-later",
    "gnu agpl": "AGPL-3.0-or-later",
    "gnu lgpl": "LGPL-2.1-or-later",
    "gnu gpl": "GPL-2.0-or-later",
    " agplv3": "AGPL-3.0-or-later",
    " lgplv3": "LGPL-3.0-or-later",
    " gplv3": "GPL-3.0-or-later",
    " gplv2": "GPL-2.0-or-later",
    "mozilla public license": "MPL-2.0",
    "eclipse public license": "EPL-2.0",
    "common development and distribution license": "CDDL-1.0",
    "european union public licence": "EUPL-1.2",
    "licensed under the eupl": "EUPL-1.2",
    "microsoft public license": "MS-PL",
    "licence cecill": "CECILL-2.1",
    "server side public license": "SSPL-1.0",
    "business source license": "BUSL-1.1",
    "attribution sharealike": "CC-BY-SA-4.0",
    "attribution noncommercial": "CC-BY-NC-4.0",
    "cc by sa": "CC-BY-SA-4.0",
    "cc by nc": "CC-BY-NC-4.0",
    "commons clause": "LicenseRef-Commons-Clause",
    "shall be used for good, not evil": "JSON",
    "all advertising materials mentioning features": "BSD-4-Clause",
    "proprietary confidential": "LicenseRef-proprietary",
    "unauthorized copying of this file": "LicenseRef-proprietary",
    "permission to use, copy, modify, and or distribute this software for any purpose": "ISC",
    "apache license, version 2.0": "Apache-2.0",
    "permission is hereby granted, free of charge, to any person obtaining a copy": "MIT",
    "redistribution and use in source and binary forms": "BSD-3-Clause",
    "all rights reserved": "LicenseRef-all-rights-reserved",
}
"""What headers say without a tag, as `_COMMENT` leaves it, and the least licence that it may mean."""
_LEAST = "LicenseRef-all-rights-reserved"
_REMARK = re.compile(
    r"^[ \t]{0,80}(?:#|//|/?\*|--|;|%|<!--|\"{3}|'{3})[^\n]{0,300}all\s+rights[\s*#/]+reserved",
    re.MULTILINE | re.IGNORECASE,
)
"""Said of the code itself, and not by a page that the code makes."""


def _known(name: str) -> str:
    from license_expression import get_spdx_licensing

    if name not in get_spdx_licensing().known_symbols:
        raise ValueError(f"{name!r} is no SPDX licence id")
    return name


class CodeLicence(Filter):
    """Reject or note responses whose code names a licence beyond those accepted: it was recited, not written.

    Looks at fenced code and at SPDX tags anywhere; a response that talks about licences is left alone. Recited code
    without its header it does not find.
    """

    version: ClassVar[int] = 2
    kind: Literal["code_licence"] = "code_licence"
    accepted: tuple[Annotated[str, AfterValidator(_known)], ...] = (
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0"),
        *("PSF-2.0", "Python-2.0", "Unlicense", "Zlib"),
    )
    """SPDX ids that raise no objection. Of `A OR B` one must be among them, of `A AND B` both."""
    action: Literal["exclude", "note"] = "exclude"
    """`note` keeps the trace and writes what was found into the ledger."""

    notice_chars: ClassVar[int] = 300

    def check(self, sample: Sample) -> Verdict:
        """Judge the response; the evidence shows the header and what it was read as."""
        for licence, header in _named(sample.response):
            if self._accepts(licence):
                continue
            shown: dict[str, Any] = {"licence": licence, "header": header[: self.notice_chars]}
            detail = f"its code is under {licence}: {header[:100]!r}"
            answer = reject if self.action == "exclude" else note
            return answer("licensed_code", detail, **shown)
        return KEEP

    def _accepts(self, expression: str) -> bool:
        from license_expression import ExpressionError, ExpressionParseError, get_spdx_licensing

        try:
            parsed = get_spdx_licensing().parse(expression)
        except (ExpressionError, ExpressionParseError):
            return False
        return parsed is not None and self._satisfied(parsed)

    def _satisfied(self, parsed: Any) -> bool:
        kind = type(parsed).__name__
        if kind in ("OR", "AND"):
            return (any if kind == "OR" else all)(map(self._satisfied, parsed.args))
        # An exception such as Classpath's only permits more.
        return getattr(parsed, "license_symbol", parsed).key in self.accepted


def _named(text: str) -> Iterator[tuple[str, str]]:
    """Yield the licences that tags and headers name, each with the text that names it."""
    for found in _TAG.finditer(text):
        yield found[1].strip(), found[0]
    for block in parts(text).blocks:
        plain = _COMMENT.sub(" ", block.text).casefold()
        found_here = {phrase: at for phrase in _HEADERS if (at := plain.find(phrase)) >= 0}
        for phrase, at in found_here.items():
            # "All rights reserved" stands in the header of many a permissive licence too.
            if _HEADERS[phrase] != _LEAST or (len(found_here) == 1 and _REMARK.search(block.text)):
                yield _HEADERS[phrase], plain[max(0, at - 60) : at + 200].strip()
