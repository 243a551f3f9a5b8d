#!/bin/sh
# Writes what Prometheus is to watch, the platform itself, then becomes Prometheus. LISTEN, METRICS and KEY come from the definition.
set -eu
umask 077

# The key is a new one at each start.
printf '%s' "$KEY" > key
address=${METRICS#*://}
cat > prometheus.yml <<EOF
global: { scrape_interval: 15s }
scrape_configs:
  - job_name: sutaz
    scheme: ${METRICS%%://*}
    metrics_path: /${address#*/}
    authorization: { credentials_file: key }
    static_configs: [{ targets: ['${address%%/*}'] }]
# What is to be watched besides, in files of this folder: [{ "targets": ["127.0.0.1:9100"] }]
  - job_name: files
    file_sd_configs: [{ files: ['targets/*.json'] }]
EOF

unset KEY
exec prometheus --config.file=prometheus.yml --storage.tsdb.path=metrics --storage.tsdb.retention.time=15d \
  --storage.tsdb.retention.size=512MB --web.listen-address="$LISTEN" --log.level=warn
