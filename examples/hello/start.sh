#!/bin/sh
# Writes the pages of this task, then serves them and logs each request.
set -eu

www=/tmp/www
mkdir -p "$www"
echo ok > "$www/health"
sed -e "s/@TASK@/$(hostname)/g" -e "s/@GREETING@/${GREETING:-Hello}/g" /app/www/index.html > "$www/index.html"

echo "serving on port ${PORT:-8080} as task $(hostname)"
httpd -f -vv -p "${PORT:-8080}" -h "$www" 2>&1 &
server=$!
# As process 1 a shell gets SIGTERM only when it asks for it.
trap 'echo "stopping"; kill "$server"' TERM INT
wait "$server" || true
