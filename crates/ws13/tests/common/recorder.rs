//! A subscriber of `tracing` that remembers what this crate reports.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Remembers everything that it is told.
#[derive(Clone, Default)]
pub struct Recorder {
    pub lines: Arc<Mutex<Vec<String>>>,
    ids: Arc<AtomicU64>,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Recorder {
    fn note(&self, metadata: &Metadata<'_>, what: &str, fields: impl FnOnce(&mut Line)) {
        if metadata.target() == "ws13" {
            let mut line = Line(format!("{what} {}", metadata.level()));
            fields(&mut line);
            self.lines.lock().unwrap().push(line.0);
        }
    }

    pub async fn until(&self, found: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            if let Some(line) = self.lines.lock().unwrap().iter().find(|line| found(line)) {
                return line.clone();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{:#?}", self.lines.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(span.metadata(), "span", |line| span.record(line));
        Id::from_u64(self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata(), "event", |line| event.record(line));
    }

    fn enter(&self, span: &Id) {
        self.lines.lock().unwrap().push(format!("enter {}", span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        self.lines.lock().unwrap().push(format!("exit {}", span.into_u64()));
    }
}
