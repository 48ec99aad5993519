#!/usr/bin/env bash
# curl; options for it come before the address. `-q`: nobody's own settings.
set -euo pipefail
options=()
while [[ $1 == -* ]]; do
    options+=("$1")
    shift
done
url=$1 photo=$2 password=$3 out=$4
shift 4
form=()
for field in "$@" "password=$password"; do
    form+=(--form-string "$field")
done

curl --version | sed -n '1s/^\(curl [^ ]*\).*/\1/p'
curl -q --silent --show-error ${options[@]+"${options[@]}"} --output "$out" \
    --write-out '%{http_code} %{content_type}\n' "${form[@]}" \
    --form "fileToUpload=@$photo;filename=IMG_0003.JPG;type=image/jpeg" "$url"
