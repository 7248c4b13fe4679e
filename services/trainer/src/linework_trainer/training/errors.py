"""Why a training ends without an encoder.

LineworkError
├── Diverged 500         the loss, or its gradient, is no number any more, or grew out of all proportion
├── NoTemplate 500       the cluster has no template for the pods of a training, or one that will not do
└── ProcessFailed 500    one of its processes ended with an error
"""

from linework_core.errors import LineworkError


class Diverged(LineworkError):
    type, title = "training-diverged", "The training diverged"


class NoTemplate(LineworkError):
    type, title = "no-training-template", "No template for the pods of a training"


class ProcessFailed(LineworkError):
    type, title = "training-process-failed", "A process of the training failed"
