//! What came out of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Which side of a connection is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server, which we ask.
    Server,
    /// A client, which asks us.
    Client,
}

/// What a case's outcome is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Allowed, and weak: a SHOULD was not done, or a wrong thing was taken that no MUST forbids to take.
    NonStrict,
    /// There is no right or wrong: the outcome tells which way was chosen.
    Informational,
    /// A MUST was broken.
    Failed,
    /// Not run, for the reason that is told.
    Skipped,
}

impl Verdict {
    /// All of them, in the order of a summary.
    pub const ALL: [Verdict; 5] =
        [Verdict::Ok, Verdict::NonStrict, Verdict::Informational, Verdict::Failed, Verdict::Skipped];

    /// The verdict in a word: `ok`, `non-strict`, `informational`, `failed`, `skipped`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NonStrict => "non-strict",
            Verdict::Informational => "informational",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One case and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The case's name, which stays the same from one version to the next: `frames.unmasked.text`.
    pub id: String,
    /// Where the rule stands: `RFC 6455 5.1`.
    pub section: String,
    /// What was done.
    pub title: String,
    /// What had to come.
    pub expected: String,
    /// What came.
    pub seen: String,
    /// What that is worth.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
    /// The bytes, line by line: `->` was sent to the peer, `<-` came from it. Long ones are shortened.
    pub bytes: Vec<String>,
}

/// All outcomes of a run, in the order of the list of cases.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What was tested.
    pub role: Role,
    /// The server's URL, or the name that the client gave itself.
    pub target: String,
    /// One for each case that was chosen.
    pub outcomes: Vec<Outcome>,
    /// How long the whole run took.
    pub time: Duration,
}

impl Report {
    /// How many outcomes have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    /// Whether no case failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(Verdict::Failed) == 0
    }

    /// Whether no case failed or was non-strict.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.passed() && self.count(Verdict::NonStrict) == 0
    }

    /// The report for people: each case that is not ok, with what was expected and seen; with `verbose` all cases, and
    /// the bytes.
    #[must_use]
    pub fn text(&self, verbose: bool) -> String {
        let mut text = String::new();
        let quiet = [Verdict::Ok, Verdict::Skipped];
        for outcome in self.outcomes.iter().filter(|outcome| verbose || !quiet.contains(&outcome.verdict)) {
            outcome.tell(verbose || outcome.verdict == Verdict::Failed, &mut text);
        }
        for (why, count) in self.skipped() {
            text += &format!("{count} skipped: {why}\n");
        }
        let counts = Verdict::ALL.map(|verdict| format!("{} {verdict}", self.count(verdict)));
        let total = self.outcomes.len();
        text += &format!("{total} cases in {:.1} s: {}\n", self.time.as_secs_f64(), counts.join(", "));
        text
    }
}

impl Report {
    /// Why cases were skipped, and how many for each reason.
    fn skipped(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for outcome in self.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Skipped) {
            *reasons.entry(outcome.seen.as_str()).or_default() += 1;
        }
        reasons
    }
}

impl Outcome {
    fn tell(&self, bytes: bool, text: &mut String) {
        *text += &format!("{:<13} {}  ({})\n", self.verdict.name(), self.id, self.section);
        if self.verdict == Verdict::Ok && !bytes {
            return;
        }
        *text += &format!("    sent      {}\n", self.title);
        *text += &format!("    expected  {}\n", self.expected);
        *text += &format!("    seen      {}\n", self.seen);
        for line in self.bytes.iter().filter(|_| bytes) {
            *text += &format!("      {line}\n");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}
