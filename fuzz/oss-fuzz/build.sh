#!/bin/bash -eu
# Builds the fuzz targets for OSS-Fuzz, and packs the seeds of each: in its builder with `SRC`, `OUT`, `CFLAGS` and
# `RUSTFLAGS` as that sets them, and elsewhere as `fuzz/oss-fuzz/check` calls it. `TARGETS`: only these.

cd "${REPOSITORY:-$SRC/consoles}"
# OSS-Fuzz sets the flags of its sanitizer and of its counters; cargo-fuzz adds its own, as for any other Rust project there.
for file in fuzz/src/bin/*.rs; do
    target=$(basename "$file" .rs)
    [[ -z "${TARGETS-}" || " $TARGETS " = *" $target "* ]] || continue
    # A target builds the one library that its name begins with.
    cargo ${TOOLCHAIN:+"+$TOOLCHAIN"} fuzz build --fuzz-dir fuzz -O --debug-assertions \
        ${CARGO_TARGET_DIR:+--target-dir "$CARGO_TARGET_DIR"} \
        --no-default-features --features "${target%%_*}" "$target"
    cp "${CARGO_TARGET_DIR:-fuzz/target}"/x86_64-unknown-linux-gnu/release/"$target" "$OUT/" 2>/dev/null \
        || cp "${CARGO_TARGET_DIR:-target}"/x86_64-unknown-linux-gnu/release/"$target" "$OUT/"
    inputs=()
    for folder in "fuzz/seeds/$target" "fuzz/regressions/$target"; do
        [ ! -d "$folder" ] || inputs+=("$folder"/*)
    done
    [ ${#inputs[@]} = 0 ] || zip -q -j "$OUT/${target}_seed_corpus.zip" "${inputs[@]}"
    printf '[libfuzzer]\nrss_limit_mb = 2048\ntimeout = 120\n' >"$OUT/$target.options"
done
