#!/bin/sh
# ClickHouse with its settings and its only account in its data, reached on this machine alone. In its place, so that signals reach it and
# its memory is the instance's. Releases before 21.10 know the root of its files as `yandex`, and later ones take that, too.
set -eu
umask 077
hash=$(printf %s "$SECRET" | sha256sum | cut -d ' ' -f 1)
cat > server.xml <<END
<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>$PORT</http_port>
  <listen_host>$HOST</listen_host>
  <path>$PWD/data/</path>
  <tmp_path>$PWD/data/tmp/</tmp_path>
  <user_files_path>$PWD/data/user_files/</user_files_path>
  <format_schema_path>$PWD/data/format_schemas/</format_schema_path>
  <!-- It would keep up to 5 GiB of marks. -->
  <mark_cache_size>67108864</mark_cache_size>
  <users_config>$PWD/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
</yandex>
END
cat > users.xml <<END
<yandex>
  <profiles><default><max_memory_usage>$MEMORY</max_memory_usage></default></profiles>
  <quotas><default/></quotas>
  <users>
    <sutaz>
      <password_sha256_hex>$hash</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </sutaz>
  </users>
</yandex>
END
exec clickhouse-server --config-file="$PWD/server.xml"
