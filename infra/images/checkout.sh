#!/bin/sh
# A worker's checkout at $BERTOPS_PROJECT: cloned from $BERTOPS_REPOSITORY unless it is there.
set -eu
if [ ! -e "$BERTOPS_PROJECT/dvc.yaml" ]; then
  rm -rf "$BERTOPS_PROJECT" # what a killed clone left
  git clone "$BERTOPS_REPOSITORY" "$BERTOPS_PROJECT"
fi
