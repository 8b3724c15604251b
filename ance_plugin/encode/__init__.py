"""Text to vectors: checkpoints, the encoder, and resumable encoding of whole collections."""
