"""How long tests wait for what takes a moment: a busy machine must not fail them."""

PATIENCE_S = 120
