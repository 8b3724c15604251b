"""How checkpoints lie on disk: one file a layout, and the table that tells them apart."""
