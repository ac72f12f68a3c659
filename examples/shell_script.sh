#!/bin/sh
# A script that knows nothing of Optuna: options in, files into a folder, the value on the last line.
#
#   journal-launcher run --config examples/shell_script.toml
set -eu

while [ $# -gt 1 ]; do
  case $1 in
    --lr) lr=$2 ;;
    --layers) layers=$2 ;;
    --out) out=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done

echo "training with lr $lr and $layers layers"
printf 'lr=%s\nlayers=%s\n' "$lr" "$layers" >"$out/model.txt"
awk -v lr="$lr" -v layers="$layers" \
  'BEGIN { print (log(lr / 0.01) / log(10)) ^ 2 + 0.1 * (layers - 2) ^ 2 }'
