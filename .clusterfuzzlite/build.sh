#!/bin/bash -eu
# Builds every fuzz target into $OUT, each with its seed corpus and its options: for OSS-Fuzz and ClusterFuzzLite, which set
# SRC, OUT, WORK and SANITIZER. scripts/oss-fuzz-check runs it here.
cd "$SRC/ashlar"
build=$WORK/ashlar
source scripts/fuzz.settings
case $SANITIZER in
  address | thread) flags=() sanitizer=$SANITIZER ;;
  coverage) flags=(-Xswiftc -profile-generate -Xswiftc -profile-coverage-mapping) sanitizer=none ;;
  *) echo "build.sh: Swift has no sanitizer '$SANITIZER'" >&2; exit 1 ;;
esac

# What scripts/fuzz sets in the environment, which a fuzzer of theirs has no say in: blocks as they are in release, in a region
# of which AddressSanitizer need not keep much.
mkdir -p "$build"
cat > "$build/environment.c" << 'END'
#include <stdlib.h>
__attribute__((constructor)) static void set_environment(void) {
  setenv("ASHLAR_GUARD", "0", 0);
  setenv("ASHLAR_REGION", "4G", 0);
  setenv("ASHLAR_RETAIN", "4G", 0);
  setenv("ASHLAR_HUGE_PAGES", "0", 0);
  setenv("SWIFT_BACKTRACE", "enable=no", 0);
}
END
clang -c -fPIC -o "$build/environment.o" "$build/environment.c"

# The Swift runtime is linked in: nothing of the toolchain is there where the targets are run.
fuzz_build "$sanitizer" --scratch-path "$build/swift" --static-swift-stdlib -Xlinker "$build/environment.o" "${flags[@]}"
for folder in Fuzz/Sources/*/; do
  target=fuzz-$(basename "$folder")
  cp "$build/swift/release/$target" "$OUT/"
  printf '%s\n' '[libfuzzer]' "max_len = $fuzz_length" '' '[asan]' 'allocator_may_return_null = 1' 'detect_leaks = 0' > "$OUT/$target.options"
  (cd "corpus/$(basename "$folder")" && find . -type f | sort | zip -q -@ "$OUT/${target}_seed_corpus.zip")
done
# The one that knows Swift's names.
if [ -x /usr/local/bin/llvm-symbolizer-swift ]; then cp /usr/local/bin/llvm-symbolizer-swift "$OUT/llvm-symbolizer"; fi
