#!/usr/bin/env bash
# Sends every photo that gphoto2 downloads to a slot and keeps the edited one beside it, as NAME.edited.jpg:
#   export PHOTOSLOT_URL=https://photo.example.org/api/ingest/slot-001 PHOTOSLOT_PASSWORD_FILE=~/.photoslot
#   gphoto2 --capture-tethered --hook-script deploy/gphoto2-hook.sh
# All tries of a photo carry the same Idempotency-Key, so that none of them orders it twice. PATIENCE is how many
# seconds they may take in all.
set -euo pipefail

readonly patience=${PATIENCE:-120}
readonly window=70
answer=$(mktemp -d)
trap 'rm -rf "$answer"' EXIT

main() {
    local photo=$1 edited=${1%.*}.edited.jpg until=$((SECONDS + patience)) key status again
    key=$(sha256sum <"$photo")
    while true; do
        status=$(shoot "$photo" "${key%% *}" || true)
        if [[ $status == 200 ]]; then
            mv "$answer/body" "$edited"
            echo "photoslot: $edited"
            return
        fi
        again=$(seconds_to_wait "$status")
        if [[ -z $again ]] || ((SECONDS + again >= until)); then
            echo "photoslot: $photo was not edited: $status $(header x-failure-reason)" >&2
            return 1
        fi
        sleep "$again"
    done
}

# The password goes in by standard input: what is on a command line, others can read.
shoot() {
    : >"$answer/head"
    printf 'header = "X-Ingest-Password: %s"\n' "$(sed 's/[\\"]/\\&/g' "$PHOTOSLOT_PASSWORD_FILE")" |
        curl --config - --silent --max-time "$window" \
            --dump-header "$answer/head" --output "$answer/body" --write-out '%{http_code}' \
            --header "Idempotency-Key: $2" --form "fileToUpload=@$1" "$PHOTOSLOT_URL"
}

# Tried again is only what costs nothing: no answer, which joins the order that may be under way, 429 and 503.
# A 502 or 504 may have been billed; whether to shoot again is for the one who stands there.
seconds_to_wait() {
    case $1 in
        000) echo 1 ;;
        429 | 503) header retry-after | grep -E '^[0-9]+$' || echo 2 ;;
    esac
}

header() {
    sed -n "s/^$1: *\([^\r]*\)\r*$/\1/Ip" "$answer/head"
}

# gphoto2 calls it for other events as well.
if [[ ${ACTION:-} == download ]]; then
    main "$ARGUMENT"
fi
