"""The ``training`` section: optimizer, learning-rate scheduler, loss, adapter, duration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.values import DecayRate, Fraction, Name, Section


class Optimizer(Section):
    """The optimizer."""

    name: Name = "adamw"
    """`adamw` (decoupled weight decay, fused where torch can), `adam`, `sgd` (with momentum),
    `adafactor` (without relative steps, little memory), `lion`, or `muon` (hidden matrices only,
    scaled so that it takes the learning rate of `adamw`, which updates the rest); or the
    entry point of an installed package in `onestep.optimizers`."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 0.01
    """Decay of weight matrices; biases and normalization weights are exempt."""
    betas: tuple[DecayRate, DecayRate] = (0.9, 0.999)
    """Decay rates of the moment estimates; `sgd` and `muon` take the first as their momentum."""
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-8
    """Term added to the denominator of the `adam` and `adamw` updates."""
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each layer to the one below it (Howard and Ruder 2018); the
    head has the full rate."""


class LrScheduler(Section):
    """The learning-rate scheduler."""

    name: Literal["constant", "linear", "cosine", "inverse_sqrt", "one_cycle"] = "linear"
    """What follows the warm-up: `constant`, `linear` or `cosine` decay to zero at the last step, or
    decay with the inverse square root of the step (`inverse_sqrt`); `one_cycle` warms up and
    anneals along cosines (Smith 2018)."""
    warmup_ratio: Fraction = 0.1
    """Share of all steps in which the rate rises to its peak, from zero; with `one_cycle`, from a
    25th of the peak."""


class Loss(Section):
    """The training loss."""

    name: Name = "cross_entropy"
    """`cross_entropy`; `focal` (Lin et al. 2017), which reduces the weight of easy examples; or
    the entry point of an installed package in `onestep.losses`."""
    focal_gamma: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """How strongly `focal` reduces the weight of easy examples."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability mass spread evenly over all classes (Szegedy et al. 2016)."""
    class_weights: (
        Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0, le=1_000_000)]]
    ) = "none"
    """`balanced` weighs each class by n / (classes * n_class), as scikit-learn does; a mapping
    gives the weight of each label. With several labels per row, a weight applies to the rows that
    have the label, and `balanced` is n_without / n_with."""


class Adapter(Section):
    """Small matrices that are trained in place of all weights, and merged at registration."""

    name: Literal["none", "lora", "dora"] = "none"
    """`lora` (Hu et al. 2021) or `dora` (Liu et al. 2024), through peft; the head is
    trained in full."""
    rank: Annotated[int, Field(ge=1, le=100_000)] = 8
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0, le=1_000_000)] = 16.0
    """The update is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability before the adapter's first matrix."""
    target_modules: tuple[str, ...] = ()
    """Names of the layers to adapt, such as `query`; by default every linear layer."""


class Training(Section):
    """How the model is fine-tuned."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 3
    """Passes over the training rows."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Rows in one forward pass."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-5
    """The peak learning rate."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Forward passes whose gradients make one optimizer step."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1_000_000_000)] | None = 1.0
    """Gradients are clipped to this global norm; null turns clipping off."""
    early_stopping_patience: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Stop after this many epochs without a better validation metric."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Compute precision; `auto` is bf16 where the hardware supports it natively."""
    save_steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Steps between two resumable checkpoints; by default about a minute."""
    optimizer: Optimizer = Optimizer()
    """The optimizer."""
    lr_scheduler: LrScheduler = LrScheduler()
    """The learning-rate scheduler."""
    loss: Loss = Loss()
    """The training loss."""
    adapter: Adapter = Adapter()
    """An adapter, to train few weights instead of all."""
    frozen_layers: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of lowest layers that are not trained, together with the embeddings; 0 trains all."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is validated and saved in their
    place."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
