"""What a person can do about a reason, where something can be done."""

ADVICE = {
    "teacher_down": "Start it (`retort teacher serve MODEL`, or your own vLLM); work that waits goes on by itself.",
    "teacher_busy": "It answers, but refuses most requests: nothing is lost, and it is asked again by itself.",
    "unauthorized": "Check the key in the variable that the teacher's `api_key_env` names, where the workers run.",
    "forbidden": "Check what the teacher's key may do.",
    "no_key": "Set the variable that the teacher's `api_key_env` names, where the workers run.",
    "bad_key": "The key holds characters no header can carry; set the variable anew, where the workers run.",
    "unknown_model": "`retort teacher probe NAME` lists what the server serves; add the teacher again with that model.",
    "unknown_path": "Check the teacher's address: it should end in `/v1`.",
    "quota_exhausted": "Raise the provider's quota, then `retort retry BATCH`.",
    "prompt_too_long": "Serve the teacher with a longer `--max-model-len`, or shorten these prompts.",
    "max_tokens_too_large": "Ask for fewer `max_tokens`, or serve the teacher with a longer `--max-model-len`.",
    "timeout": "Raise RETORT_REQUEST_TIMEOUT_S, or ask for fewer `max_tokens`.",
    "empty_response": "The teacher ended without a word; a higher `max_tokens` helps where reasoning used it up.",
    "address_not_allowed": "The teacher's address leads to a network that RETORT_TEACHER_NETWORKS does not allow.",
}
"""Markdown-like: what stands between backticks is shown as code."""

RETRY = "`retort retry {batch}` asks again for the answers that failed."
REASONING_LOST = "Serve the teacher with the `--reasoning-parser` of its model; what is stored has no reasoning."
LICENCE = "State the missing licences, or curate again with an override that names who allows it and why."
EMPTY = "Its ledger says why each was dropped; a preview of the recipe shows the funnel before anything is sealed."
NO_WORKER = "Start one with `retort worker`, or start Retort with `retort up`, which brings one along."


def advice(reason: str) -> str:
    """Return what to do about a reason; empty where nothing better than its detail is known."""
    return ADVICE.get(reason, "")
