"""Streaming covariance of log returns, one file for each subject.

window, exponential : from the returns of a grid of timesteps
hayashi_yoshida     : from asynchronous ticks, with the variances of two_scales
returns, sampling   : prices with gaps to returns, over one timestep and over several
gaps                : the returns that two assets have in common when rows have gaps
pairs               : what was seen of each pair to one matrix: who is in it, and that it is a covariance
shrinkage, nonlinear: towards what is known beforehand of covariances
"""

from solver.covariance.exponential import ExponentialCovariance, half_life_to_decay
from solver.covariance.hayashi_yoshida import HayashiYoshidaCovariance
from solver.covariance.nonlinear import nonlinear_shrinkage
from solver.covariance.returns import LogReturns
from solver.covariance.sampling import SampledCovariance
from solver.covariance.shrinkage import Shrinkage, ledoit_wolf, oas
from solver.covariance.window import WindowCovariance

__all__ = [
    "ExponentialCovariance",
    "HayashiYoshidaCovariance",
    "LogReturns",
    "SampledCovariance",
    "Shrinkage",
    "WindowCovariance",
    "half_life_to_decay",
    "ledoit_wolf",
    "nonlinear_shrinkage",
    "oas",
]
