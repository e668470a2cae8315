//! Groups of the criterion benches: `crate/operation/sample`, each in bytes and in messages a second.

use std::time::Duration;

use criterion::{Criterion, Throughput};

/// One sample of an operation.
pub struct Sample {
    /// As it stands in the name of the group.
    pub name: String,
    /// Bytes that one run of the operation works on.
    pub bytes: u64,
    /// Messages, or whatever the operation counts, of one run.
    pub messages: u64,
    /// One run.
    pub run: Box<dyn FnMut()>,
}

impl Sample {
    /// So many bytes and messages, and the operation over them.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: usize, messages: u32, run: Box<dyn FnMut()>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes as u64,
            messages: messages.into(),
            run,
        }
    }
}

/// Measures each sample of an operation twice: for its bytes, and for its messages.
pub fn measure(c: &mut Criterion, operation: &str, samples: impl IntoIterator<Item = Sample>) {
    for mut sample in samples {
        let mut group = c.benchmark_group(format!("{operation}/{}", sample.name));
        group
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        group.throughput(Throughput::Bytes(sample.bytes));
        group.bench_function("bytes", |b| b.iter(&mut sample.run));
        group.throughput(Throughput::Elements(sample.messages));
        group.bench_function("messages", |b| b.iter(&mut sample.run));
        group.finish();
    }
}
