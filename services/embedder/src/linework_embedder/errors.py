"""What can go wrong in the embedder, beside the errors of core and vision.

LineworkError
├── EncoderChanged 500      the weights under an encoder's name are not those that were registered
├── Unprocessable
│   └── TooLargeForDevice 422   one item alone exceeds the device's memory
└── Unavailable
    └── EngineDied 503      the model's process is broken; it is being started again
"""

from linework_core.errors import LineworkError, Unavailable, Unprocessable


class EncoderChanged(LineworkError):
    type, title = "encoder-changed", "The encoder's weights have changed"


class TooLargeForDevice(Unprocessable):
    type, title = "too-large-for-device", "One item alone exceeds the device's memory"


class EngineDied(Unavailable):
    type, title = "engine-died", "The model is being started again"
