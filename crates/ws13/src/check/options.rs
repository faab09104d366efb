//! How a run is to be done.

use std::time::Duration;

/// Which cases run, and how patiently.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only cases that one of these patterns fits; none means all. A pattern is an id (`frames.unmasked`), the beginning
    /// of one up to a dot (`frames`), or has a `*` for any characters (`*.rsv1*`).
    pub only: Vec<String>,
    /// No cases that one of these patterns fits.
    pub skip: Vec<String>,
    /// How long one answer may take. The default is 5 s; a good peer needs some milliseconds.
    pub timeout: Duration,
    /// How many cases run at once against a server; 16 by default. A client decides that itself.
    pub jobs: usize,
    /// How long to wait for a client to come, or to come again; 60 s by default.
    pub idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            only: Vec::new(),
            skip: Vec::new(),
            timeout: Duration::from_secs(5),
            jobs: 16,
            idle: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Whether a case of this id is to run.
    #[must_use]
    pub fn chooses(&self, id: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(id, pattern));
        (self.only.is_empty() || any(&self.only)) && !any(&self.skip)
    }
}

fn fits(id: &str, pattern: &str) -> bool {
    if !pattern.contains('*') {
        return id.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| id.strip_prefix(start)) else { return false };
    let mut last = "";
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = part;
    }
    rest.is_empty() || last.is_empty() || (id.ends_with(last) && rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose() {
        for (id, pattern, expected) in [
            ("frames.unmasked", "frames.unmasked", true),
            ("frames.unmasked", "frames", true),
            ("frames.unmasked", "frame", false),
            ("frames.unmasked.text", "frames.unmasked", true),
            ("frames.rsv1.text", "*.rsv1*", true),
            ("frames.rsv1.text", "*rsv2*", false),
            ("frames.rsv1.text", "frames.*.text", true),
            ("frames.rsv1.text", "frames.*.ping", false),
            ("utf8.text.text", "*.text", true),
            ("a", "*", true),
        ] {
            assert_eq!(fits(id, pattern), expected, "{id} {pattern}");
        }
        let options =
            Options { only: vec!["close".into()], skip: vec!["*.1000".into()], ..Options::default() };
        assert!(options.chooses("close.code.1001") && !options.chooses("close.code.1000"));
    }
}
