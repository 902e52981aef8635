"""The servers of bench/gateway.py: how each is configured, started and asked.

Freehold's kinds are one table. Its peers are nginx and what scripts/setup-peers.sh installed, each with its own recommended settings, without
keys, logs or a database of theirs, so that all of them do less than Freehold with everything on.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gateway_load import Question

PEERS = Path(__file__).parent.parent / ".peers"
_FREEHOLD = (sys.executable, "-c", "from freehold.cli.app import main; main()")
_MODEL = """
[providers.one]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
[models.frontier]
provider = "one"
price = {{ input_per_mtok = 10.0, output_per_mtok = 100.0 }}
"""
_LIMITS = "limits = { requests_per_min = 1e9, tokens_per_min = 1e12, concurrent = 10_000 }"
_TASK = """
[tasks.triage]
reference = "frontier"
variants = ["frontier"]
allow_uncertified = true
"""
_POLICY = """task triage
when tag.tier == "critical" use frontier
when chars > 4000 use frontier
otherwise use frontier
"""
_KEY = ("--total-usd", "1e9", "--requests-per-min", "1000000000", "--tokens-per-min", "1000000000000", "--concurrent", "10000")
_NGINX = """
worker_processes {workers}; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  upstream one {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} reuseport;
    location / {{ proxy_pass http://one; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""
_LITELLM = """
model_list:
  - model_name: frontier
    litellm_params: {{model: openai/frontier, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
litellm_settings: {{request_timeout: 600, set_verbose: false, json_logs: true}}
general_settings: {{background_health_checks: false, disable_spend_logs: true}}
"""
_TENSORZERO = """
[gateway]
disable_pseudonymous_usage_analytics = true
observability.enabled = false
[models.frontier]
routing = ["one"]
[models.frontier.providers.one]
type = "openai"
model_name = "frontier"
api_base = "http://127.0.0.1:{upstream}/v1/"
api_key_location = "none"
"""
_TENSORZERO_RUN = """
import signal, sys
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
print("at", gateway.base_url, flush=True)
signal.pause()
"""


class LeftOut(Exception):
    """A server cannot be measured here, and why."""


class Place(NamedTuple):
    """What a server gets."""

    folder: Path
    """Its own, which is there and empty."""
    upstream: int
    """The port of whom it asks."""
    port: int
    """Where it listens, if it can be told."""
    workers: int


class Kind(NamedTuple):
    """One of the ways in which Freehold is measured."""

    toml: str = ""
    """What its freehold.toml says beside the provider and the model."""
    options: tuple[str, ...] = ()
    """Of `freehold serve`."""
    everything: bool = True
    """Whether it has a key with budget and limit, and a task with a policy over tags and length."""


KINDS = {
    "bare": Kind("[journal]\ncontent = 'none'\non_failure = 'best_effort'\n", everything=False),
    "process": Kind("[store]\ndurability = 'process'\n"),
    "power": Kind("[store]\ndurability = 'power'\n"),
    "plain_asgi": Kind("[store]\ndurability = 'process'\n", ("--plain-asgi",)),
}


class Server(NamedTuple):
    """How to start a server, and how to ask it."""

    command: tuple[str, ...]
    question: Question = Question()
    environment: Mapping[str, str] = {}
    says_port: bool = False
    """Whether it chooses its port itself and says so in its log."""
    has_workers: bool = True
    """Whether there can be two of its workers."""


def freehold(kind: Kind, place: Place) -> Server:
    """Freehold with a project of its own. Raises LeftOut where this version has not what the kind needs."""
    file = place.folder / "freehold.toml"
    file.write_text(kind.toml + _MODEL.format(upstream=place.upstream) + (_LIMITS + _TASK if kind.everything else ""))
    question = Question()
    if kind.everything:
        policy = place.folder / "triage.policy"
        policy.write_text(_POLICY)
        _freehold(place, "policy", "add", str(policy))
        _freehold(place, "promote", "triage")
        question = Question(model="freehold/triage", headers=_key(place), tags=True)
    workers = ("--workers", str(place.workers)) if place.workers > 1 else ()
    command = (*_FREEHOLD, "serve", "--project", str(place.folder), "--port", str(place.port), *workers, *kind.options)
    return Server(command, question)


def _key(place: Place) -> tuple[str, ...]:
    """The header of a key that may spend and ask more than it will; none where this version has no keys."""
    try:
        made = json.loads(_freehold(place, "keys", "create", *_KEY, "--json"))
    except LeftOut:
        return ()
    return (f"authorization: Bearer {made['secret']}",)


def _freehold(place: Place, *arguments: str) -> str:
    run = subprocess.run([*_FREEHOLD, *arguments, "--project", str(place.folder)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise LeftOut(f"freehold {' '.join(arguments[:2])}: {run.stderr.strip()[-300:]}")
    return run.stdout


def nginx(place: Place) -> Server:
    """A proxy that neither reads nor keeps anything: the limit."""
    if not shutil.which("nginx"):
        raise LeftOut("not installed (scripts/setup-peers.sh, or on Debian: apt-get install nginx-light)")
    file = place.folder / "nginx.conf"
    file.write_text(_NGINX.format(**place._asdict()))
    return Server(("nginx", "-c", str(file)))


def litellm(place: Place) -> Server:
    """LiteLLM's proxy with the settings its documentation has for production, and no database."""
    file = place.folder / "litellm.yaml"
    file.write_text(_LITELLM.format(upstream=place.upstream))
    workers = ("--num_workers", str(place.workers))
    command = (str(_peer("litellm", "bin/litellm")), "--config", str(file), "--host", "127.0.0.1", "--port", str(place.port), *workers)
    return Server(command, environment={"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"})


def tensorzero(place: Place) -> Server:
    """The HTTP server in TensorZero's wheel, as many threads as cores, without observability, which would need a database."""
    file = place.folder / "tensorzero.toml"
    file.write_text(_TENSORZERO.format(upstream=place.upstream))
    command = (str(_peer("tensorzero", "bin/python")), "-c", _TENSORZERO_RUN, str(file))
    return Server(command, Question("/openai/v1/chat/completions", "tensorzero::model_name::frontier"), says_port=True)


def portkey(place: Place) -> Server:
    """Portkey's gateway on Node, which is one process."""
    file = _peer("portkey", "node_modules/@portkey-ai/gateway/build/start-server.js")
    upstream = f"x-portkey-custom-host: http://127.0.0.1:{place.upstream}/v1"
    question = Question(headers=("x-portkey-provider: openai", upstream, "authorization: Bearer none"))
    command = ("node", str(file), f"--port={place.port}", "--headless")
    return Server(command, question, {"NODE_ENV": "production"}, has_workers=False)


OTHERS = {"nginx": nginx, "tensorzero": tensorzero, "portkey": portkey, "litellm": litellm}


def _peer(name: str, file: str) -> Path:
    if not (PEERS / name / "installed").exists():
        raise LeftOut("not installed (scripts/setup-peers.sh)")
    return PEERS / name / file


def version_of(name: str) -> str:
    """Which version of a peer is measured."""
    if name == "nginx":
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.strip().rpartition("/")[2]
    return re.sub(".*==", "", (PEERS / name / "installed").read_text().strip())
