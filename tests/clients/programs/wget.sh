#!/usr/bin/env bash
# GNU Wget, which posts a file and knows no forms: this one is written by hand. One try, as a shot is.
set -euo pipefail
url=$1 photo=$2 password=$3 out=$4
shift 4
boundary=photoslot$$
{
    for field in "$@" "password=$password"; do
        printf -- '--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' \
            "$boundary" "${field%%=*}" "${field#*=}"
    done
    printf -- '--%s\r\nContent-Disposition: form-data; name="fileToUpload"; filename="IMG_0003.JPG"\r\n' "$boundary"
    printf 'Content-Type: image/jpeg\r\n\r\n'
    cat "$photo"
    printf '\r\n--%s--\r\n' "$boundary"
} >"$out.form"

LC_ALL=C wget --version | sed -n '1s/^GNU \(Wget [^ ]*\).*/\1/p'
code=0
trust=()
if [[ -n ${SSL_CERT_FILE:-} ]]; then
    trust=(--ca-certificate="$SSL_CERT_FILE")
fi
LC_ALL=C wget ${trust[@]+"${trust[@]}"} --no-config --no-verbose --server-response --tries=1 --content-on-error --output-document="$out" \
    --header="Content-Type: multipart/form-data; boundary=$boundary" --post-file="$out.form" "$url" \
    2>"$out.log" || code=$?
# The server refused, and said why: 6 with 401, 8 with the rest.
if [[ $code -ne 0 && $code -ne 6 && $code -ne 8 ]]; then
    tail -n 1 "$out.log" >&2
    exit "$code"
fi
if [[ $code -eq 6 ]]; then
    # Wget throws the body of a 401 away and shows its headers.
    reason=$(sed -n 's/^ *X-Failure-Reason: *//Ip' "$out.log")
    printf '{"failure_reason": "%s"}' "$reason" >"$out"
fi
awk '$1 ~ /^HTTP\// { status = $2 } tolower($1) == "content-type:" { type = $2 } END { print status, type }' "$out.log"
