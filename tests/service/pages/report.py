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


def _forgotten() -> dict[str, Any]:
    asked = {name: value for name, value in _example("area", "").items() if not name.startswith("teacher")}
    return asked | {"base_reasoning": "60 - 3", "base_response": f"57 {HOSTILE[0]}"}


def _calibration(ece: float) -> dict[str, Any]:
    bins = [{"n": 90, "confidence": 0.8, "accuracy": 0.8 - ece}]
    return {"n": 90, "ece": ece, "over": ece, "bins": bins}


def _distance(kl: float) -> dict[str, Any]:
    told = {"rows": 40, "tokens": 2100, "tokens_labelled": 2100, "perplexity": 1.267, "kl": kl, "agreement": 0.94}
    return told | {"acceptance": 0.912, "acceptance_max": 0.913, "draft": []}


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
            "forgotten": [_forgotten()],
            "forgotten_count": 3,
            "pass_at": {
                model: {"samples": 4, "prompts": {"1": 200, "4": 200}, "rate": {"1": rate, "4": rate + 0.1}}
                for model, rate in (("base", 0.02), ("student", 0.55))
            },
            "calibration": {"student": {"token_probability": _calibration(0.151), "vote_share": None}},
            "lengths": {
                model: {mode: {"n": 360, "p10": 30, "p50": p50, "p90": 80, "longest": 90, "to_teacher": None}}
                for model, mode, p50 in (("student", "greedy", 44), ("teacher", "sampled", 42))
            },
            "robustness": {
                "typos": {
                    "n": 100,
                    "right": 64,
                    "right_changed": 52,
                    "only_unchanged": 14,
                    "only_changed": 2,
                    "difference": -0.12,
                    "p_value": 0.004,
                }
            },
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
    "held_out": {
        "eval split": {
            "origin": "kept rows of the eval split",
            "distribution": "the version's soft labels",
            "models": {"base": _distance(9.087), "student": _distance(0.215)},
        }
    },
    "engine": "transformers",
    "not_measured": {"tasks": f"no task of lm-eval is named {HOSTILE[0]}"},
}
