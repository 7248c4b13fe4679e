"""The training itself: networks and objectives from recipes, the loop, its state, and the processes that run it."""
