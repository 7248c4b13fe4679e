"""Losses: modules from a batch of features to named components; an Objective adds them up.

A loss knows nothing of processes. Where several train together, features are gathered first
(linework_trainer.distributed), and every process computes the loss of the whole batch.
"""

from linework_trainer.losses.arcface import ArcFaceLoss
from linework_trainer.losses.batch import UNKNOWN, Components, Label, LossBatch, same_label
from linework_trainer.losses.classification import ClassificationLoss
from linework_trainer.losses.classwise import ClasswiseLoss
from linework_trainer.losses.clip import ClipLoss
from linework_trainer.losses.contrastive import ContrastiveLoss
from linework_trainer.losses.hierarchy import HierarchicalLoss
from linework_trainer.losses.objective import Objective, Outcome, WeightedSum
from linework_trainer.losses.temperature import Temperature
from linework_trainer.losses.triplet import TripletLoss
from linework_trainer.losses.uncertainty import UncertaintyWeighting

__all__ = [
    "UNKNOWN",
    "ArcFaceLoss",
    "ClassificationLoss",
    "ClasswiseLoss",
    "ClipLoss",
    "Components",
    "ContrastiveLoss",
    "HierarchicalLoss",
    "Label",
    "LossBatch",
    "Objective",
    "Outcome",
    "Temperature",
    "TripletLoss",
    "UncertaintyWeighting",
    "WeightedSum",
    "same_label",
]
