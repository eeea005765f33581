#!/usr/bin/env bash
# The whole main job on a tiny real teacher: ask, curate, train, measure. What a user would type, in the order of use.
# Run again, it goes on where it stopped: every order carries a key, and what is finished is not done twice.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH" HF_HUB_OFFLINE=1

folder=${RETORT_DEMO_DIR:-demo}
port=${RETORT_DEMO_PORT:-8091}
teacher_port=$((port + 1))
prompts=${RETORT_DEMO_PROMPTS:-1000}
heldout_prompts=${RETORT_DEMO_HELDOUT:-360}
ood_prompts=${RETORT_DEMO_OOD:-180}
student=${RETORT_DEMO_STUDENT:-examples/arithmetic/student.json}
export RETORT_URL=http://127.0.0.1:$port
mkdir -p "$folder"

started=()
stop() {
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  wait "${started[@]}" 2>/dev/null || true
}
trap stop EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ retort %s\033[0m\n' "$*" >&2; retort "$@"; }
field() { python -c "import json, sys; print(eval('value' + sys.argv[1], {'value': json.load(sys.stdin)}))" "$1"; }

say "1  Start Retort (API and two workers, data in $folder/data)"
# Two workers train two students side by side; for models this small one thread each is the faster way.
OMP_NUM_THREADS=1 retort up --port "$port" --data-dir "$folder/data" --workers 2 >"$folder/retort.log" 2>&1 &
started+=($!)
for _ in $(seq 120); do python -c "import urllib.request as r; r.urlopen('$RETORT_URL/readyz')" 2>/dev/null && break; sleep 0.5; done

say "2  Prompts: word problems with reference answers, some held out, some out of distribution"
python examples/arithmetic/prompts.py --seed 0 --train "$prompts" --heldout "$heldout_prompts" --ood "$ood_prompts" --out "$folder/prompts"
show teacher add arithmetic "http://127.0.0.1:$teacher_port/v1" teacher --license apache-2.0
ask() { show submit "$folder/prompts/$1.jsonl" --teacher arithmetic --max-tokens 256 "${@:2}" --json | tail -n 1 | field '["id"]'; }
train=$(ask train -n 2 --temperature 1 --seed 0 --key "demo-train-$prompts")
heldout=$(ask heldout --temperature 0 --set held-out --key demo-heldout)
ood=$(ask ood --temperature 0 --set out-of-distribution --key demo-ood)

pending=$(($(for batch in $train $heldout $ood; do retort status "$batch" --json | field '["counts"]["pending"]'; done | paste -sd+)))
if [ "$pending" -gt 0 ]; then
  say "3  Serve the teacher with vLLM; the worker asks it as soon as it is up"
  retort teacher serve examples/arithmetic/teacher --name teacher --port "$teacher_port" &
  teacher=$!
  started+=("$teacher")
  for batch in $train $heldout $ood; do show status "$batch" --follow; done
  kill -TERM "$teacher" && wait "$teacher" || true
else
  say "3  Every answer is stored already; the teacher can rest"
fi

say "4  Curate: once with verified answers, once without, at the same size"
show curate verified --batch "$train" --recipe examples/arithmetic/recipes/verified.json --use research --test 0 --follow
kept=$(retort status verified@1 --json | field '["kept"]')
sed "s/\"count\": 1,/\"count\": $kept,/" examples/arithmetic/recipes/unverified.json >"$folder/unverified.json"
show curate unverified --batch "$train" --recipe "$folder/unverified.json" --use research --test 0 --follow
[ -d "$folder/verified-v1" ] || show export verified@1 --out "$folder/verified-v1"

say "5  Train a student on each and measure both against base and teacher"
learn() {
  show train "$1@1" --student examples/arithmetic/student-base --config "$student" \
    --evaluate "$heldout" --evaluate "$ood" --key "demo-$1-$prompts" --json | tail -n 1 | field '["id"]'
}
verified=$(learn verified)
unverified=$(learn unverified)
show status "$verified" --follow
show status "$unverified" --follow

say "6  What became of $prompts prompts, and what the students learned"
show status verified@1
show report "$verified" "$unverified"
cat <<END

dataset   $folder/verified-v1            datasets.load_dataset("$folder/verified-v1")
student   $folder/data/runs/$verified/student
report    $folder/data/runs/$verified/report.md
pages     retort up --port $port --data-dir $folder/data   then open $RETORT_URL
END
