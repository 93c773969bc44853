//! The storage engine: store directory, workers that drive shards over the ring, cross-worker messages.
