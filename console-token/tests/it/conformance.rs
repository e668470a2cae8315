//! The suite of all stores, on those that need no engine.

use console_token::MemoryStore;

#[path = "../conformance/mod.rs"]
mod suite;

#[tokio::test]
async fn memory() {
    suite::suite(&MemoryStore::new(100_000), 1, 200).await;
}
