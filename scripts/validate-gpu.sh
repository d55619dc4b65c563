#!/usr/bin/env bash
# Check whether this machine can run the GPU image: scripts/validate-gpu.sh [--json]
# Green is fit, yellow works with a limit, red does not work. Exit code 0 without a red line, else 1.
# Reads only; starts no container and needs no root where `docker info` needs none.
set -uo pipefail

# Driver 525.60.13 is the first for CUDA 12, whose minor versions are compatible.
min_driver=525.60.13
min_docker=20.10
# Version 1 is at its end of life; 2.24.4 is the first that reads docker-compose-cpu.yml.
min_compose=2.0
full_compose=2.24.4
# Cards that are sold with 12 GB tell of 11.6 to 12.0 GiB. The worker draws the same line.
min_memory_mib=11776
# The oldest that torch 2.10 is built for.
min_capability=7.0
# The finished image with room for models and audio, and what building it takes on top.
run_disk_gib=20
build_disk_gib=40

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
json=false
names=() states=() details=()

usage() {
    sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"
}

# report STATE NAME DETAIL: one line of the result; STATE is green, yellow or red.
report() {
    states+=("$1") names+=("$2") details+=("$3")
    $json && return
    local colour='' plain=''
    if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
        case $1 in green) colour=$'\e[32m' ;; yellow) colour=$'\e[33m' ;; *) colour=$'\e[31m' ;; esac
        plain=$'\e[0m'
    fi
    printf '%s%-6s%s  %-14s  %s\n' "$colour" "$1" "$plain" "$2" "$3"
}

# at_least FOUND WANTED: compare versions such as 20.10.24+dfsg1, of which only the numbers count.
at_least() {
    local found=${1#v}
    found=${found%%[!0-9.]*}
    [[ -n $found && $(printf '%s\n%s\n' "$2" "$found" | sort -V | head -n 1) == "$2" ]]
}

trimmed() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

check_driver() {
    local said version
    if ! command -v nvidia-smi >/dev/null; then
        report red driver "nvidia-smi is not there; install NVIDIA's driver, $min_driver or later"
        return 1
    fi
    if ! said=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>&1); then
        report red driver "nvidia-smi fails: $(head -n 1 <<<"$said"); is the module loaded? Try a reboot"
        return 1
    fi
    version=$(trimmed "$(head -n 1 <<<"$said")")
    if ! at_least "$version" "$min_driver"; then
        report red driver "$version is too old for CUDA 12; $min_driver or later is needed"
        return 1
    fi
    report green driver "$version"
}

# judge_card INDEX NAME MEMORY_MIB CAPABILITY: print what is wrong with a card, or nothing.
judge_card() {
    local memory=$3 capability=$4
    if [[ $memory =~ ^[0-9]+$ ]] && ((memory < min_memory_mib)); then
        printf '%s MiB of memory, %s are needed' "$memory" "$min_memory_mib"
    fi
    if [[ ! $capability =~ ^[0-9]+\.[0-9]+$ ]]; then
        printf '; its compute capability is not told, the driver is too old for that'
    elif ! at_least "$capability" "$min_capability"; then
        printf '; compute capability %s, %s is needed' "$capability" "$min_capability"
    fi
}

check_cards() {
    local query=index,name,memory.total,compute_cap index name memory capability wrong
    local good=() unsure=() unfit=() facts
    if ! facts=$(nvidia-smi --query-gpu="$query" --format=csv,noheader,nounits 2>/dev/null); then
        # Drivers before 510 do not know the last column.
        facts=$(nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader,nounits 2>/dev/null)
    fi
    while IFS=, read -r index name memory capability; do
        [[ -n $index ]] || continue
        index=$(trimmed "$index") name=$(trimmed "$name")
        memory=$(trimmed "$memory") capability=$(trimmed "${capability:-}")
        wrong=$(judge_card "$index" "$name" "$memory" "$capability")
        if [[ -n $wrong ]]; then
            unfit+=("GPU $index, $name: ${wrong#; }")
        elif [[ $memory =~ ^[0-9]+$ ]]; then
            good+=("GPU $index, $name, $memory MiB, capability $capability")
        else
            # Parts that share the memory of the machine say [N/A].
            unsure+=("GPU $index, $name, capability $capability: it does not tell its memory; $min_memory_mib MiB are needed")
        fi
    done <<<"$facts"
    if ((${#good[@]} + ${#unsure[@]} + ${#unfit[@]} == 0)); then
        report red gpu "the driver sees no GPU"
        return
    fi
    # One fit card is enough; the others are left alone.
    local other=red card
    ((${#good[@]} + ${#unsure[@]})) && other=yellow
    # The plus keeps bash before 4.4 from calling an empty array unset.
    for card in ${good[@]+"${good[@]}"}; do report green gpu "$card"; done
    for card in ${unsure[@]+"${unsure[@]}"}; do report yellow gpu "$card"; done
    for card in ${unfit[@]+"${unfit[@]}"}; do report "$other" gpu "$card"; done
}

check_docker() {
    local version
    if ! command -v docker >/dev/null; then
        report red docker "docker is not there; install Docker Engine, $min_docker or later"
        return 1
    fi
    version=$(docker version --format '{{.Server.Version}}' 2>/dev/null)
    if [[ -z $version ]]; then
        report red docker "the engine does not answer; is it running, and are you in the group docker?"
        return 1
    fi
    if ! at_least "$version" "$min_docker"; then
        report red docker "$version is too old; $min_docker or later is needed"
        return 1
    fi
    report green docker "$version"
}

check_compose() {
    local version
    version=$(docker compose version --short 2>/dev/null)
    if [[ -z $version ]]; then
        if command -v docker-compose >/dev/null; then
            report red compose "only docker-compose, version 1, is there; install the Compose plugin, version 2"
        else
            report red compose "'docker compose' is unknown; install the Compose plugin, version 2"
        fi
    elif ! at_least "$version" "$min_compose"; then
        report red compose "$version is too old; version 2 is needed"
    elif ! at_least "$version" "$full_compose"; then
        report yellow compose "$version; docker-compose-cpu.yml needs $full_compose"
    else
        report green compose "$version"
    fi
}

check_toolkit() {
    local runtimes devices
    runtimes=$(docker info --format '{{range $name, $runtime := .Runtimes}}{{$name}} {{end}}' 2>/dev/null)
    # Engines before 28.2 do not know of discovered devices.
    devices=$(docker info --format '{{json .DiscoveredDevices}}' 2>/dev/null)
    if [[ " $runtimes " == *" nvidia "* ]]; then
        report green toolkit "the engine has the runtime nvidia"
    elif [[ $devices == *nvidia.com/gpu* ]]; then
        report green toolkit "the engine has found nvidia.com/gpu devices"
    elif command -v nvidia-container-runtime-hook >/dev/null; then
        report green toolkit "nvidia-container-runtime-hook is on the PATH"
    elif command -v nvidia-ctk >/dev/null; then
        report red toolkit "installed, but unknown to the engine: sudo nvidia-ctk runtime configure --runtime=docker, then restart Docker"
    else
        report red toolkit "the NVIDIA container toolkit is not there, see docs/GPU-SETUP.md"
    fi
}

check_disk() {
    local directory free_kib free_gib
    directory=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
    # An engine elsewhere, such as in a virtual machine, has a directory that is not here.
    [[ -n $directory && -d $directory ]] || directory=$checkout
    free_kib=$(df -Pk "$directory" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [[ ! $free_kib =~ ^[0-9]+$ ]]; then
        report yellow disk "how much is free in $directory is not told"
        return
    fi
    free_gib=$((free_kib / 1048576))
    if ((free_gib < run_disk_gib)); then
        report red disk "$free_gib GiB free in $directory, $run_disk_gib are needed; 'docker system df' shows what takes the room"
    elif ((free_gib < build_disk_gib)); then
        report yellow disk "$free_gib GiB free in $directory: enough to run the image, building it may take $build_disk_gib"
    else
        report green disk "$free_gib GiB free in $directory"
    fi
}

check_files() {
    local file missing=()
    for file in docker/Dockerfile-gpu docker-compose-gpu.yml docker/requirements-torch.txt \
        docker/requirements-worker.txt docker/requirements-rvc.txt .dockerignore; do
        [[ -f $checkout/$file ]] || missing+=("$file")
    done
    if ((${#missing[@]})); then
        report red files "missing in $checkout: ${missing[*]}"
    else
        report green files "all in $checkout"
    fi
}

quoted() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//[[:cntrl:]]/ }
    printf '"%s"' "$text"
}

print_json() {
    local i separator=''
    printf '{"fit": %s, "checks": [' "$1"
    for i in "${!names[@]}"; do
        printf '%s{"name": %s, "state": %s, "detail": %s}' "$separator" \
            "$(quoted "${names[i]}")" "$(quoted "${states[i]}")" "$(quoted "${details[i]}")"
        separator=', '
    done
    printf ']}\n'
}

case ${1:-} in
'') ;;
--json) json=true ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 2
    ;;
esac

check_driver && check_cards
check_docker && check_toolkit
check_compose
check_disk
check_files

verdict=true
[[ " ${states[*]} " == *" red "* ]] && verdict=false
if $json; then
    print_json "$verdict"
elif [[ $verdict == true ]]; then
    echo "This machine can run the GPU image."
else
    echo "This machine cannot run the GPU image yet: see the red lines."
fi
[[ $verdict == true ]]
