"""Flows: when, where and how often the stages run. Prefect is imported here alone.

DVC owns what depends on what and whether it must run. A flow asks it for one stage after the
other, retries what may heal, and after the graph does what touches the outside world: register,
gate, promote, report. Flows hold no logic of their own; `bertops.stages` has it.
"""
