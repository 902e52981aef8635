"""Run by Inspect's own Python: `inspect_client.py eval URL FOLDER` runs a task of Inspect's against a gateway, `read LOG…` reads logs of ours."""

import json
import os
import sys
from pathlib import Path

from inspect_ai import eval as run
from inspect_ai.log import EvalLog, read_eval_log

EXAMPLES = Path(__file__).parents[2] / "examples" / "inspect"


def main(what: str, *rest: str) -> None:
    if what == "read":
        print(json.dumps([told(read_eval_log(path)) for path in rest]))
        return
    url, folder = rest
    sys.path.insert(0, str(EXAMPLES))
    os.environ["FREEHOLD_BASE_URL"] = url
    import freehold_inspect  # noqa: F401 which registers the provider, as its entry point does where it is installed
    from arithmetic import arithmetic

    names = ("freehold/sums", "freehold/frontier")
    logs = [run(arithmetic(), model=name, log_dir=folder, log_format="json", display="none", max_connections=1)[0] for name in names]
    print(json.dumps([told(log) for log in logs]))


def told(log: EvalLog) -> dict[str, object]:
    samples = log.samples or []
    return {
        "status": log.status,
        "model": log.eval.model,
        "task": log.eval.task,
        "samples": len(samples),
        "input": samples[0].input if samples and isinstance(samples[0].input, str) else None,
        "target": samples[0].target if samples else None,
        "answers": [sample.output.completion for sample in samples],
        "scores": [{name: score.value for name, score in (sample.scores or {}).items()} for sample in samples],
        "metrics": {
            one.name: {name: metric.value for name, metric in one.metrics.items()} for one in (log.results.scores if log.results else [])
        },
        "tokens": [sample.output.usage.total_tokens if sample.output.usage else None for sample in samples],
        "unscored": log.results.scores[0].unscored_samples if log.results else None,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
