"""A sliding window of log prices, in the form that refits read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData
from solver.moments import SlidingMoments, restored_arrays
from solver.reversion.error_correction import johansen_row
from solver.reversion.refits.refit import Refit, Refitter
from solver.reversion.refits.settings import ReversionSettings, check_settings
from solver.reversion.refits.stretches import Stretches, changes_of, horizon_changes_of
from solver.reversion.vector import BetaVector


class RollingReversion:
    """Slides a fit stretch of log prices and the stretch after it, and refits on them.

    Two chained windows hold the same rows [x_{t-1}, Δx_{t-1..t-lags}, 1, Δx_t, Δ_H x_t]. A row enters the held-back
    window; `holdout_steps` later it leaves it and enters the fit window. Changes over H > 1 belong to the stretch that
    they end in.

    A push costs O((n * lags)²), a copy of the `stretches` O(window_steps * n). Log prices are kept less those of the
    first timestep, which changes no result and keeps the digits of the moments.

    Parameters
    ----------
    n : assets, >= 2.
    settings : see `ReversionSettings`.
    names : (n) of the assets, for messages; indices by default.

    Raises
    ------
    IllPosed : as `check_settings`; the message names the setting.
    """

    def __init__(self, n: int, settings: ReversionSettings, names: tuple[str, ...] | None = None) -> None:
        check_settings(n, settings)
        self._n = n
        self._settings = settings
        self._names = names
        dimension = n * (settings.lags + 3) + 1
        self._held_back = SlidingMoments(settings.holdout_steps, dimension)
        self._fit = SlidingMoments(settings.window_steps - settings.holdout_steps, dimension)
        self._history = np.zeros((max(settings.lags + 1, settings.basis_horizon_steps) + 1, n))
        self._anchor = np.zeros(n)
        self._seen = np.zeros(1, dtype=np.int64)

    @property
    def ready(self) -> bool:
        """Whether both stretches are full, which takes `window_steps` + max(lags + 1, H) timesteps."""
        return self._fit.full

    def push(self, log_prices: FloatArray) -> None:
        """Take the log prices (n,) of the next timestep.

        Raises
        ------
        IllPosed : wrong shape, or a value that is not finite; nothing was changed.
        """
        log_prices = np.asarray(log_prices, dtype=np.float64)
        if log_prices.shape != (self._n,):
            raise IllPosed(f"log_prices must have shape ({self._n},), got {log_prices.shape}")
        if not np.all(np.isfinite(log_prices)):
            raise IllPosed(f"log_prices must be finite, got {log_prices}")
        if self._seen[0] == 0:
            self._anchor = log_prices.copy()
        self._history = np.vstack([self._history[1:], log_prices - self._anchor])
        self._seen = self._seen + 1
        if self._seen[0] < len(self._history):
            return
        latest, before = self._history[-1], self._history[-1 - self._settings.basis_horizon_steps]
        row = np.concatenate([johansen_row(self._history[-self._settings.lags - 2 :]), latest - before])
        fallen_out = self._held_back.push(row)
        if fallen_out is not None:
            self._fit.push(fallen_out)

    def stretches(self) -> Stretches:
        """What a refit reads, as it is now.

        Raises
        ------
        NotEnoughData : not `ready`.
        """
        if not self.ready:
            raise NotEnoughData(
                f"a refit needs {self._fit.window} rows in the fit stretch, got {self._fit.count}: push more log prices"
            )
        constant = self._n * (self._settings.lags + 1)
        return Stretches(
            fit=self._fit.sums(),
            held_back=self._held_back.sums(),
            fit_changes=self._fit.rows(changes_of(self._n, constant)),
            held_back_changes=self._held_back.rows(horizon_changes_of(self._n, constant)),
            latest=self._history[-1].copy(),
            anchor=self._anchor.copy(),
        )

    def refit(self, incumbents: Sequence[BetaVector] = (), barred: Sequence[FloatArray] = ()) -> Refit:
        """`Refitter.refit` on the stretches as they are now. Raises NotEnoughData when not `ready`."""
        return self._refitter.refit(self.stretches(), incumbents, barred)

    @cached_property
    def _refitter(self) -> Refitter:
        return Refitter(self._n, self._settings, self._names)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        own: dict[str, NDArray[Any]] = {
            "history": self._history.copy(),
            "anchor": self._anchor.copy(),
            "seen": self._seen.copy(),
        }
        for prefix, moments in (("held_back", self._held_back), ("fit", self._fit)):
            own |= {f"{prefix}.{name}": array for name, array in moments.arrays().items()}
        return own

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave.

        Raises
        ------
        IllPosed : an array is missing, or of another shape than these settings need; nothing was changed.
        """
        restored = restored_arrays(self.arrays(), arrays)
        for prefix, moments in (("held_back.", self._held_back), ("fit.", self._fit)):
            moments.restore({name.removeprefix(prefix): a for name, a in restored.items() if name.startswith(prefix)})
        self._history, self._anchor, self._seen = restored["history"], restored["anchor"], restored["seen"]
