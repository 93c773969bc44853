//! Plots drawn by ourselves: as SVG inside of pages, and with characters for terminals.

pub mod curve;
pub mod percentile;
pub mod scale;
pub mod svg;
pub mod terminal;
