#!/usr/bin/env bash
# Installs under .peers what bench/gateway.py compares with, each apart from Freehold and at one version: scripts/setup-peers.sh [NAME...]
# Only where they are named: transformers, the model server that bench/real.py asks; litellm_sdk, dspy, langchain and pydantic_ai, beside which
# bench/tasks.py calls a task; ray, for bench/batch.py; inspect, for tests/e2e/test_inspect.py; croissant, which reads
# exported data sets in tests/e2e/test_dataset_peers.py. One that cannot be installed is said here, and the bench leaves it out by name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null
source scripts/setup-python.sh

PEERS=.peers
# LiteLLM's 1.82.7 and 1.82.8 (24 March 2026) stole credentials, and 1.107.0 has been withdrawn: this one is far from both. Wheels alone,
# so that nothing of theirs runs at the installation.
LITELLM=1.91.5
# The last one: the project was archived in June 2026. Its wheel has the gateway's HTTP server.
TENSORZERO=2026.6.0
PORTKEY=1.15.2
# One torch for all: a registry that serves the CPU's build has it under the same version, the public one brings gigabytes of CUDA.
TORCH=2.13.0
TRANSFORMERS=5.24.0
DSPY=3.4.1
LANGCHAIN_OPENAI=$(sed -n 's/^langchain-openai==//p' constraints.txt)
PYDANTIC_AI=2.68.0
RAY=2.60.0
MLCROISSANT=1.1.1
DATASETS=5.2.0
# About 80 packages and 350 MB: an environment of its own, and no extra of ours.
INSPECT=0.3.285
OPENAI=$(sed -n 's/^openai==//p' constraints.txt)

# A virtual environment with packages, unless it has them.
python_peer() {
    local name=$1
    shift
    [[ $(cat "$PEERS/$name/installed" 2>/dev/null) == "$*" ]] && return
    rm -rf "${PEERS:?}/$name"
    "$PYTHON" -m venv "$PEERS/$name" &&
        "$PEERS/$name/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: "$@" &&
        echo "$*" >"$PEERS/$name/installed"
}

nginx_peer() {
    command -v nginx >/dev/null || install_debian nginx-light
}

litellm_peer() {
    python_peer litellm "litellm[proxy]==$LITELLM"
}

tensorzero_peer() {
    python_peer tensorzero "tensorzero==$TENSORZERO"
}

litellm_sdk_peer() {
    python_peer litellm_sdk "litellm==$LITELLM"
}

dspy_peer() {
    python_peer dspy "dspy==$DSPY"
}

langchain_peer() {
    python_peer langchain "langchain-openai==$LANGCHAIN_OPENAI"
}

pydantic_ai_peer() {
    python_peer pydantic_ai "pydantic-ai-slim[openai]==$PYDANTIC_AI"
}

inspect_peer() {
    python_peer inspect "inspect-ai==$INSPECT" "openai==$OPENAI"
}

# Beside what .venv has, which it sees and does not copy: a node runs Freehold. Remade where .venv is another.
ray_peer() {
    local own="$PWD/$VENV/lib/python${PYTHON_VERSION%.*}/site-packages" wanted="ray[data]==$RAY"
    [[ $(cat "$PEERS/ray/installed" 2>/dev/null) == "$wanted $own" ]] && return
    rm -rf "${PEERS:?}/ray"
    "$PYTHON" -m venv "$PEERS/ray" &&
        echo "import site; site.addsitedir('$own')" >"$PEERS/ray/lib/python${PYTHON_VERSION%.*}/site-packages/freehold.pth" &&
        "$PEERS/ray/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: -c constraints.txt "$wanted" &&
        echo "$wanted $own" >"$PEERS/ray/installed"
}

# jsonpath-rw comes as a source alone: an old parser in plain Python.
croissant_peer() {
    python_peer croissant --no-binary jsonpath-rw "mlcroissant==$MLCROISSANT" "datasets==$DATASETS"
}

transformers_peer() {
    python_peer transformers "torch==$TORCH" "transformers[serving]==$TRANSFORMERS"
}

portkey_peer() {
    [[ $(cat "$PEERS/portkey/installed" 2>/dev/null) == "$PORTKEY" ]] && return
    command -v npm >/dev/null || install_debian nodejs npm || return
    rm -rf "$PEERS/portkey"
    mkdir -p "$PEERS/portkey"
    npm install --prefix "$PEERS/portkey" --ignore-scripts --no-audit --no-fund --loglevel error "@portkey-ai/gateway@$PORTKEY" >&2 &&
        echo "$PORTKEY" >"$PEERS/portkey/installed"
}

find_python
require_venv_module
mkdir -p "$PEERS"
for peer in ${@:-nginx litellm tensorzero portkey}; do
    say "$peer"
    "${peer}_peer" || say "$peer: cannot be installed here, left out"
done
