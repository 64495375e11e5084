#!/bin/bash -eu
# The build script is the repository's own, so that it changes with what it builds.
"$SRC/ashlar/.clusterfuzzlite/build.sh"
