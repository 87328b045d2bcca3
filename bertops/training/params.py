"""Parameters of the training loop."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bertops.model.params import ModelParams
from bertops.pretraining.params import PretrainingParams
from bertops.section import LearningRate, Precision, Section, Seed


class BudgetParams(Section):
    """How long to train. Exactly one of the three."""

    steps: int | None = Field(None, ge=1, description="Optimizer updates.")
    tokens: int | None = Field(None, ge=1, description="Tokens seen, padding not counted.")
    minutes: float | None = Field(
        None,
        gt=0,
        description="Minutes of training; the result then depends on the speed of the machine.",
    )

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        given = [name for name in ("steps", "tokens", "minutes") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of steps, tokens, minutes; found {given or 'none'}")
        return self


class ScheduleParams(Section):
    """Learning rate over the budget."""

    shape: Literal["linear", "cosine", "wsd"] = Field(
        "linear", description="Decay after warm-up; wsd stays at the peak and decays at the end."
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the budget spent rising from 0.")
    decay: float = Field(
        0.4, gt=0, le=1, description="Share of the budget spent falling at the end (wsd alone)."
    )
    floor: float = Field(0.0, ge=0, lt=1, description="Share of the peak rate left at last.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.shape == "wsd" and self.warmup + self.decay > 1:
            raise ValueError("warmup + decay is more than the whole budget")
        return self


class OptimizerParams(Section):
    """AdamW (Loshchilov & Hutter 2019), or Muon for the matrices inside layers (Jordan 2024)."""

    name: Literal["adamw", "muon"] = Field(
        "adamw",
        description="muon: Muon for the matrices inside layers, AdamW for the rest.",
    )
    muon_multiple: float = Field(
        2.0, gt=0, description="Muon's learning rate, in multiples of learning_rate (muon alone)."
    )
    learning_rate: LearningRate = Field(1e-3, description="Peak learning rate.")
    weight_decay: float = Field(0.01, ge=0, description="On matrices; not on biases and norms.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Memory of the gradient.")
    beta2: float = Field(0.98, ge=0, lt=1, description="Memory of its square.")
    epsilon: float = Field(1e-8, gt=0, description="Added to the root of the square.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the whole gradient.")


class EmbeddingParams(Section):
    """Where the token embeddings start from."""

    start: Literal["random", "cooccurrence"] = Field(
        "random",
        description="cooccurrence: vectors from counts (PPMI and SVD), which saves a short run "
        "hundreds of steps; random: as the architecture draws them.",
    )
    window: int = Field(20, ge=1, description="Tokens on either side that count as company.")
    most_tokens: int = Field(
        20_000_000, ge=1, description="Tokens of the corpus that are counted, from its start."
    )


class DistributedParams(Section):
    """Processes that train together. They change the order of sums, and so the last bits."""

    processes: int | None = Field(
        None, ge=1, description="Processes on each machine; by default one per GPU."
    )
    nodes: int = Field(
        1, ge=1, description="Machines; on each BERTOPS_NODE tells its number, and 0 leads."
    )
    rendezvous: str | None = Field(
        None, description="host:port of the first machine; needed for more than one."
    )

    @model_validator(mode="after")
    def _nodes_meet_somewhere(self) -> Self:
        if self.nodes > 1 and self.rendezvous is None:
            raise ValueError(f"{self.nodes} nodes need a rendezvous (host:port)")
        return self


class TrainingParams(Section):
    """How the model is trained."""

    seed: Seed = Field(0, description="Decides weights, order, masks and dropout.")
    budget: BudgetParams
    batch_rows: int = Field(32, ge=1, description="Rows per optimizer update, over all devices.")
    ramp_from_rows: int | None = Field(
        None, ge=1, description="Rows of the first update; grows to batch_rows. None: no ramp."
    )
    ramp_steps: int = Field(0, ge=0, description="Updates over which the rows grow.")
    microbatch_rows: int = Field(
        64, ge=1, description="Most rows that one device works on at once; the rest accumulates."
    )
    embeddings: EmbeddingParams = EmbeddingParams()
    optimizer: OptimizerParams = OptimizerParams()
    schedule: ScheduleParams = ScheduleParams()
    distributed: DistributedParams = DistributedParams()
    precision: Precision = Field(
        "auto", description="auto: bf16 where the hardware has it, else fp32."
    )
    compile: bool = Field(
        False,
        description="Compile the encoder with torch.compile: minutes at the start, for a GPU.",
    )
    skip_spikes: bool = Field(
        False, description="Skip updates whose loss is 6 sigma above the last 128."
    )
    log_every_steps: int = Field(50, ge=1, description="Steps between two logged values.")
    validate_every_steps: int = Field(500, ge=1, description="Steps between two validations.")
    validation_rows: int = Field(
        512, ge=1, description="Held-out rows of a validation; the same ones each time."
    )
    save_every_steps: int = Field(500, ge=1, description="Steps between two checkpoints.")
    keep_checkpoints: int = Field(
        2, ge=2, description="Newest checkpoints that are kept; the best one is kept besides."
    )

    @model_validator(mode="after")
    def _ramp_grows(self) -> Self:
        if self.ramp_from_rows is not None and self.ramp_from_rows > self.batch_rows:
            raise ValueError(
                f"ramp_from_rows ({self.ramp_from_rows}) is more than batch_rows "
                f"({self.batch_rows})"
            )
        if (self.ramp_from_rows is None) != (self.ramp_steps == 0):
            raise ValueError("ramp_from_rows and ramp_steps are set together, or neither")
        return self


class PretrainParams(Section):
    """All that decides the outcome of pretraining."""

    pretraining: PretrainingParams
    model: ModelParams
    training: TrainingParams

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        length, positions = self.pretraining.packing.row_length, self.model.max_positions
        if length > positions and self.model.init_from is None:  # which has positions of its own
            raise ValueError(
                f"pretraining.packing.row_length ({length}) is more than "
                f"model.max_positions ({positions})"
            )
        return self

    @model_validator(mode="after")
    def _segments_need_bert(self) -> Self:
        if self.pretraining.objective == "mlm_nsp" and self.model.architecture != "bert":
            raise ValueError(
                "pretraining.objective mlm_nsp needs model.architecture bert: modernbert has no "
                "segments"
            )
        return self
