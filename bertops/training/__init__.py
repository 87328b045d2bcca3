"""Batches + model → a trained model.

    loop.py         the story: step, log, validate, save, stop
    pretrain.py     the stage: opens everything, runs the loop, exports
    launch.py       the same on several devices, one process each, under torchrun
    feed.py         step number → this process's batches, prepared ahead
    objective.py    one batch → loss, with the head on the hidden tokens alone
    optimizer.py    AdamW, Muon beside it, a step that refuses bad gradients
    schedule.py     learning rate and budget: pure functions of progress
    precision.py    where bf16 is worth it; dropout that a restart repeats
    validation.py   masked-LM loss on held-out documents at a fixed 15 %
    state.py        what a run must remember
    checkpoint.py   write whole, verify, find the newest valid, prune
    measured.py     losses and norms, read from the device as seldom as possible
    spikes.py       losses that stand out, when they are to be skipped
    distributed.py  sums and barriers that do nothing on one process
    interrupt.py    SIGTERM and Ctrl-C become a checkpoint
    throughput.py   tokens per second, share of the device's peak, time left

Since batches, masks and dropout are functions of (seed, step), a run is its weights, its
optimizer and a step number; a checkpoint holds no generator state.
"""
