"""What a trainer leaves as `report.json`, and text that a page must show as text."""

from typing import Any

HOSTILE = [
    "<script>document.title = 'stolen'</script>",
    "<img src=x onerror=\"document.title = 'stolen'\"> and <svg onload=alert(1)>",
    "[click](javascript:alert(1)) ![out](http://203.0.113.7/leak.png) http://203.0.113.7/",
    "</pre></details></textarea><h1>broken out</h1> {{ 7 * 7 }} {% include 'base.html' %} &lt;b&gt;",
    '<div hx-get="/traces" hx-trigger="load" style="position:fixed">\u202egnp.exe\u202c</div>',
]


def _scores(base: float, student: float, teacher: float, n: int) -> dict[str, Any]:
    def score(accuracy: float) -> dict[str, Any]:
        bounds = {"low": max(0.0, accuracy - 0.06), "high": min(1.0, accuracy + 0.06)}
        counts = {"n": n, "right": round(accuracy * n), "unjudged": 0, "truncated": 1, "tokens_mean": 61.5}
        return counts | {"accuracy": accuracy} | bounds

    return {
        "base": {"greedy": score(base), "sampled": score(base / 2)},
        "student": {"greedy": score(student), "sampled": score(student - 0.1)},
        "teacher": {"greedy": None, "sampled": score(teacher)},
    }


def _example(category: str, text: str) -> dict[str, Any]:
    return {
        "id": 1,
        "category": category,
        "prompt": f"A jacket costs 60 euros and is reduced by 5 %. {text}",
        "reference": "57",
        "student_reasoning": f"5 % of 60 is 5. {text}",
        "student_response": "The answer is 55.",
        "student_reason": "wrong_answer",
        "teacher_reasoning": "5 % of 60 is 3, and 60 - 3 is 57.",
        "teacher_response": f"The answer is 57. {text}",
    }


def _comparison(mode: str, against: str, difference: float, p_value: float) -> dict[str, Any]:
    counts = {"n": 360, "both_right": 10, "only_student": 5, "only_other": 9, "both_wrong": 3}
    return counts | {"mode": mode, "against": against, "difference": difference, "p_value": p_value}


REPORT: dict[str, Any] = {
    "format": 1,
    "method": "sft",
    "temperature": 1.0,
    "trained": {
        "parameters": 412_000,
        "rows": 48,
        "steps": 400,
        "tokens": 1_234_567,
        "train_s": 412.4,
        "device": "cpu",
    },
    "sets": {
        "held-out": {
            "prompts": 360,
            "ungradable": 4,
            "left_out": 0,
            "overall": _scores(0.031, 0.642, 0.938, 360),
            "categories": {
                "percent": _scores(0.02, 0.41, 0.92, 120),
                "area": _scores(0.05, 0.88, 0.95, 120),
                "<b>speed</b>": _scores(0.02, 0.64, 0.94, 120),
            },
            "comparisons": [
                _comparison("greedy", "base", 0.611, 0.0),
                _comparison("greedy", "teacher", -0.296, 0.0000004),
                _comparison("sampled", "base", 0.52, 0.0),
                _comparison("sampled", "teacher", -0.396, 0.03),
            ],
            "lost": [_example("percent", ""), _example("<b>speed</b>", HOSTILE[0]), _example("area", HOSTILE[3])],
            "won": [],
        },
        "out-of-distribution": {
            "prompts": 180,
            "overall": _scores(0.0, 0.12, 0.61, 180),
            "categories": {"mixed": _scores(0.0, 0.12, 0.61, 180)},
            "comparisons": [_comparison("greedy", "teacher", -0.49, 0.0)],
            "lost": [],
            "won": [],
        },
    },
}
