#!/usr/bin/env bash
# Fetches programs of another Debian suite and unpacks them beside each other, installing nothing:
#   debian_suite.sh SUITE FOLDER PACKAGE...
# Leaves FOLDER/bin/NAME for each program of the packages' /usr/bin, which runs with the loader, the libraries and the Python of its
# own suite. apt verifies the signatures as it does for this machine; it needs no root, and its own state is left alone.
set -euo pipefail
suite=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
packages=("${@:3}")

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/{etc/parts,lists/partial,cache/archives/partial} "$folder/root" "$folder/bin"
touch "$scratch/status" # nothing is there yet: dependencies come along, the C library among them
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$scratch/etc/sources.list"

apt=(
  apt-get -qq -y
  -o "Dir::Etc::SourceList=$scratch/etc/sources.list" -o "Dir::Etc::SourceParts=$scratch/etc/parts"
  -o "Dir::State::Lists=$scratch/lists" -o "Dir::State::Status=$scratch/status" -o "Dir::Cache=$scratch/cache"
  -o APT::Install-Recommends=false -o Debug::NoLocking=true -o APT::Sandbox::User=
  -o Acquire::Languages=none -o Acquire::Retries=3
)
"${apt[@]}" update
"${apt[@]}" --download-only install "${packages[@]}"

for archive in "$scratch"/cache/archives/*.deb; do dpkg -x "$archive" "$folder/root"; done

# Debian has had both places for libraries, and the loader's name is that of the machine's ABI.
loader=$(find "$folder/root" -name 'ld-linux*.so.*' -path '*lib*' | head -n 1)
libraries=$(find "$folder/root" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
for package in "${packages[@]}"; do
  for path in $(dpkg -c "$scratch"/cache/archives/"${package}"_*.deb | awk '$1 ~ /^-..x/ { print $6 }' | grep '/usr/bin/'); do
    program="$folder/bin/$(basename "$path")"
    run="exec '$loader' --library-path '$libraries'"
    if head -n 1 "$folder/root/$path" | grep -qa '^#!.*python3'; then
      run="PYTHONHOME='$folder/root/usr' PYTHONPATH='$folder/root/usr/lib/python3/dist-packages' $run '$folder/root/usr/bin/python3'"
    fi
    printf '#!/bin/sh\n%s "%s" "$@"\n' "$run" "$folder/root/$path" >"$program"
    chmod +x "$program"
  done
done
