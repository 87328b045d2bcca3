#!/bin/sh
# A worker's checkout at $BERTOPS_PROJECT: cloned from $BERTOPS_REPOSITORY unless it is there. What the
# DVC remote has of it is restored, so that nothing is computed again for want of a disk.
set -eu
if [ ! -e "$BERTOPS_PROJECT/dvc.yaml" ]; then
  rm -rf "$BERTOPS_PROJECT" # what a killed clone left
  git clone "$BERTOPS_REPOSITORY" "$BERTOPS_PROJECT"
  cd "$BERTOPS_PROJECT"
  dvc pull --run-cache --allow-missing || echo "not everything was restored; the rest is computed" >&2
fi
