//! A load generator for RESP servers whose latency histograms do not lie.
