import pytest
from pydantic import ValidationError

from filters.code_licence import CodeLicence

GPL = """```c
/*
 * This program is free software; you can redistribute it and/or modify it under the terms
 * of the GNU General
 * Public License as published by the Free Software Foundation
 */
int main() {}
```"""


def judged(sample, response, **knobs):
    return CodeLicence(**knobs).check(sample(response=response))


@pytest.mark.parametrize(
    ("response", "licence"),
    [
        (GPL, "GPL-2.0-or-later"),
        ("```py\n# SPDX-License-Identifier: AGPL-3.0-only\n```", "AGPL-3.0-only"),
        ("# SPDX-License-Identifier: GPL-2.0-only\nint x;", "GPL-2.0-only"),
        ("```py\n# SPDX-License-Identifier: MIT AND GPL-3.0-only\n```", "MIT AND GPL-3.0-only"),
        ("```py\n# SPDX-License-Identifier: Nonsense-1.0\n```", "Nonsense-1.0"),
        ("```py\n# Copyright 2020 Firm. All rights reserved.\n```", "LicenseRef-all-rights-reserved"),
        ("```py\n# SPDX-License-Identifier: MIT OR GPL-3.0-only\n```", ""),
        ("```py\n# SPDX-License-Identifier: Apache-2.0\n```", ""),
        ("```py\n# Redistribution and use in source and binary forms; all rights reserved\n```", ""),
        ("The GNU General Public License asks for source code.", ""),
        ("```py\nprint('no licence')\n```", ""),
    ],
)
def test_a_header_that_names_a_licence_beyond_those_accepted_is_found(sample, response, licence):
    verdict = judged(sample, response)
    assert (verdict.evidence or {}).get("licence", "") == licence
    assert verdict.outcome == ("reject" if licence else "keep")


def test_what_is_accepted_and_what_follows_is_for_the_recipe_to_say(sample):
    assert judged(sample, GPL, accepted=("GPL-2.0-or-later",)).reason == ""
    noted = judged(sample, GPL, action="note")
    assert (noted.outcome, noted.reason) == ("keep", "licensed_code")
    with pytest.raises(ValidationError, match="no SPDX licence id"):
        CodeLicence(accepted=("my own",))


@pytest.mark.parametrize(
    "unit", ["{", "7", "```\n", "SPDX-License-Identifier: ", "SPDX-License-Identifier: ((((", "* "]
)
def test_a_megabyte_of_anything_is_judged(sample, unit):
    text = unit * (1_000_000 // len(unit))
    assert judged(sample, text).outcome in ("keep", "reject")
