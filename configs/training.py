"""The sections that declare a training: optimizer, schedule, loss, which weights, how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.section import Section
from configs.values import DecayRate, Fraction, Name


class Optimizer(Section):
    """The rule that turns gradients into an update."""

    name: Name = "adamw"
    """`adamw` (decoupled weight decay, fused where torch can), `adam`, `sgd` (with momentum),
    `adafactor` (without relative steps, little memory), `lion`, or `muon` (hidden matrices only,
    scaled so that it takes the learning rate of `adamw`, which updates the rest); or one that an
    installed package brings as an entry point of `onestep.optimizers`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of weight matrices; biases and normalization weights are exempt."""
    betas: tuple[DecayRate, DecayRate] = (0.9, 0.999)
    """Decay rates of the moment estimates; `sgd` and `muon` take the first as their momentum."""
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator of the `adam` and `adamw` updates."""
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer learns at this share of the rate of the layer above it (Howard and Ruder 2018);
    the head learns at the full rate."""


class LrScheduler(Section):
    """How the learning rate moves over the run."""

    name: Literal["constant", "linear", "cosine", "inverse_sqrt", "one_cycle"] = "linear"
    """What follows the warm-up: a constant rate, decay to zero at the last step, or decay with the
    inverse square root of the step; `one_cycle` warms up and anneals along cosines (Smith 2018)."""
    warmup_ratio: Fraction = 0.1
    """Share of all steps over which the rate rises, from zero; with `one_cycle` from a
    25th of the peak."""


class Loss(Section):
    """What a step minimizes."""

    name: Name = "cross_entropy"
    """`cross_entropy`; `focal` (Lin et al. 2017), which weighs down what is easy; or one that an
    installed package brings as an entry point of `onestep.losses`."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """How strongly `focal` weighs down easy examples."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability mass spread evenly over all classes (Szegedy et al. 2016)."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """`balanced` weighs each class by n / (classes * n_class), as scikit-learn does; a mapping
    gives the weight of each label. With several labels a row the weights are those of the rows that
    have a label, and `balanced` is n_without / n_with."""


class Adapter(Section):
    """Small trainable matrices in place of all weights; merged into them at registration."""

    name: Literal["none", "lora", "dora"] = "none"
    """`lora` (Hu et al. 2021) or `dora` (Liu et al. 2024), through peft; the head is
    trained whole."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """The update is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapter's first matrix."""
    target_modules: tuple[str, ...] = ()
    """Names of the layers to adapt, such as `query`; by default every linear layer."""


class Training(Section):
    """How the model is fine-tuned."""

    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over the training rows."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows in one forward pass."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-5
    """The peak learning rate."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    """Forward passes whose gradients make one optimizer step."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients are scaled down to this global norm; null leaves them alone."""
    early_stopping_patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many epochs without a better validation metric."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Compute precision; `auto` is bf16 where the hardware multiplies it natively."""
    save_steps: Annotated[int, Field(ge=1)] | None = None
    """Write a resumable checkpoint every so many steps; by default about once a minute."""
    optimizer: Optimizer = Optimizer()
    """The update rule."""
    lr_scheduler: LrScheduler = LrScheduler()
    """The learning-rate schedule."""
    loss: Loss = Loss()
    """The training loss."""
    adapter: Adapter = Adapter()
    """Which weights are trained, if not all."""
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    """Keep the embeddings and this many of the lowest layers as they are."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the weights, which is validated and kept in their place."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
