//! Throughput and instruction counts.
