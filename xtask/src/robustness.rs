//! The rows of docs/robustness.md: attacks and quirks, each with the tests that show what comes of it. `check` sees
//! that the tests exist; `run` runs them and prints the table with a verdict on each row.

use crate::tools::{self, Outcome, cargo};
use crate::traceability::{HOME, Reference, has_fn, references};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const TABLE: &str = "docs/robustness.md";

/// A row: id, input, expected, after, tests, remark.
#[derive(Debug)]
struct Row<'a> {
    id: &'a str,
    input: &'a str,
    after: &'a str,
    tests: Option<Vec<Reference<'a>>>,
    /// What it waits for, where it has no test.
    pending: Option<&'a str>,
    well_formed: bool,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<_> = inner.split('|').map(str::trim).collect();
        if cells[0] == "Id" || cells[0].starts_with("---") {
            return None;
        }
        let cell = |i: usize| cells.get(i).copied().unwrap_or_default();
        Some(Row {
            id: cell(0),
            input: cell(1),
            after: cell(3),
            tests: references(cell(4)),
            pending: cell(5).strip_prefix("Pending: ").filter(|feature| !feature.is_empty()),
            well_formed: cells.len() == 6 && cells[..3].iter().all(|cell| !cell.is_empty()),
        })
    }

    fn tests(&self) -> &[Reference<'a>] {
        self.tests.as_deref().unwrap_or_default()
    }
}

/// Each row points to tests that exist, or says what it waits for.
pub(crate) fn check() -> Outcome {
    let text = tools::read(&tools::root().join(TABLE))?;
    let rows: Vec<_> = text.lines().filter_map(Row::parse).collect();
    let mut files = HashMap::new();
    let wrong = faults(&rows, &mut |path: &str| {
        let known = files.entry(path.to_owned());
        known.or_insert_with(|| tools::read(&tools::root().join(path)).ok()).clone()
    });
    wrong.iter().for_each(|line| println!("not ok - {TABLE}: {line}"));
    let pending = rows.iter().filter(|row| row.pending.is_some()).count();
    println!("{} rows, {pending} of them pending", rows.len());
    match (rows.is_empty(), wrong.len()) {
        (true, _) => Err(format!("{TABLE} has no rows")),
        (false, 0) => Ok(()),
        (false, count) => Err(format!("{TABLE} has {count} faults")),
    }
}

fn faults(rows: &[Row<'_>], read: &mut impl FnMut(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    for row in rows {
        let mut fault = |what: &str| wrong.push(format!("{}: {what}", row.id));
        if !row.well_formed || row.tests.is_none() {
            fault("a row has six cells, and tests look like `path::name`");
        }
        if !ids.insert(row.id) {
            fault("each row has an id of its own");
        }
        if row.tests().is_empty() == row.pending.is_none() {
            fault("a row has tests, or says `Pending: ` and what for");
        }
        for Reference { path, name } in row.tests() {
            if !read(&file(path)).is_some_and(|text| has_fn(&text, name, true)) {
                fault(&format!("there is no test {name} in {}", file(path)));
            }
        }
    }
    wrong
}

fn file(path: &str) -> String {
    if path.starts_with("crates/") { path.to_owned() } else { format!("{HOME}/{path}") }
}

/// `cargo xtask robustness`.
pub(crate) fn run() -> Outcome {
    check()?;
    let text = tools::read(&tools::root().join(TABLE))?;
    let rows: Vec<_> = text.lines().filter_map(Row::parse).collect();
    let mut wanted: BTreeMap<Binary, BTreeSet<&str>> = BTreeMap::new();
    for Reference { path, name } in rows.iter().flat_map(Row::tests) {
        wanted.entry(Binary::of(path)).or_default().insert(name);
    }
    let mut verdicts = HashMap::new();
    for (binary, names) in &wanted {
        verdicts.insert(binary, binary.run(names)?);
    }
    let passed = |test: &Reference<'_>| verdicts[&Binary::of(test.path)].passed(test);
    let mut failed = 0;
    println!("\n{:<6} {:<9} {:<60} {:<28} tests", "row", "verdict", "input", "after");
    for row in &rows {
        let bad: Vec<_> = row.tests().iter().filter(|test| !passed(test)).map(|test| test.name).collect();
        let verdict = match (row.pending, bad.is_empty()) {
            (Some(_), _) => "pending",
            (None, true) => "ok",
            (None, false) => "NOT OK",
        };
        failed += usize::from(!bad.is_empty());
        let tests = row.tests().iter().map(|test| test.name).collect::<Vec<_>>().join(", ");
        let tests = row.pending.map_or(tests, |feature| format!("waits for {feature}"));
        println!(
            "{:<6} {verdict:<9} {:<60} {:<28} {tests}",
            row.id,
            short(row.input, 60),
            short(row.after, 28)
        );
        bad.iter().for_each(|name| println!("       {name} failed or did not run"));
    }
    let pending = rows.iter().filter(|row| row.pending.is_some()).count();
    println!(
        "\n{} rows: {} ok, {failed} not ok, {pending} pending",
        rows.len(),
        rows.len() - failed - pending
    );
    if failed == 0 { Ok(()) } else { Err(format!("{failed} rows are not ok")) }
}

fn short(text: &str, most: usize) -> String {
    let plain = text.replace('`', "");
    if plain.chars().count() <= most {
        return plain;
    }
    plain.chars().take(most - 1).chain(['…']).collect()
}

/// A program of tests: a package's unit tests, or one file of its integration tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Binary {
    package: String,
    /// None for the unit tests.
    test: Option<String>,
}

/// What a program of tests said.
struct Said {
    /// The tests that passed, by their whole paths.
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Binary {
    fn of(path: &str) -> Self {
        let file = file(path);
        let parts: Vec<_> = file.split('/').collect();
        let stem = parts.last().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
        let package = parts.get(1).copied().unwrap_or_default().to_owned();
        Binary { package, test: (parts.get(2) == Some(&"tests")).then(|| stem.to_owned()) }
    }

    fn run(&self, names: &BTreeSet<&str>) -> Result<Said, String> {
        let mut test = cargo("test --quiet --all-features --no-fail-fast -p");
        test.arg(&self.package);
        match &self.test {
            Some(name) => test.args(["--test", name.as_str()]),
            None => test.arg("--lib"),
        };
        test.args(["--", "--format", "pretty", "--color", "never"]).args(names);
        println!("{} of {:?}", names.len(), self);
        let output = test.output().map_err(|e| format!("cannot run cargo test: {e}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let with = |verdict: &str| {
            let lines = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(verdict));
            lines.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let said = Said { passed: with(" ... ok"), failed: with(" ... FAILED") };
        if said.passed.is_empty() && said.failed.is_empty() {
            return Err(format!("{self:?} ran no test: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(said)
    }
}

impl Said {
    /// Whether the test ran and passed, and no other one of this name in its file failed.
    fn passed(&self, test: &Reference<'_>) -> bool {
        let module = test.path.split_once("src/").map_or("", |(_, path)| path.trim_end_matches(".rs"));
        let module = module.replace('/', "::").replace("::mod", "");
        let ours = |path: &&String| {
            path.starts_with(&module) && path.rsplit("::").next().is_some_and(|name| name == test.name)
        };
        self.passed.iter().any(|path| ours(&path)) && !self.failed.iter().any(|path| ours(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(line: &str) -> Vec<String> {
        let rows: Vec<_> = line.lines().filter_map(Row::parse).collect();
        faults(&rows, &mut |path| {
            (path == "crates/ws13/tests/a.rs").then(|| "#[test]\nfn shows() {}\nfn helps() {}\n".to_owned())
        })
    }

    #[test]
    fn rows_with_tests_or_a_feature_they_wait_for_are_right() {
        assert!(faults_of("| A1 | bytes | 1002 | CVE | `tests/a.rs::shows` | |").is_empty());
        assert!(faults_of("| A1 | bytes | 1002 | | | Pending: TLS |").is_empty());
    }

    #[test]
    fn rows_that_point_nowhere_are_faults() {
        for line in [
            "| A1 | bytes | 1002 | CVE | `tests/a.rs::helps` | |",
            "| A1 | bytes | 1002 | CVE | `tests/b.rs::shows` | |",
            "| A1 | bytes | 1002 | CVE | shows | |",
            "| A1 | bytes | 1002 | CVE | | |",
            "| A1 | bytes | 1002 | CVE | | Pending: |",
            "| A1 | bytes | 1002 | CVE | `tests/a.rs::shows` | Pending: TLS |",
            "| A1 | bytes | 1002 | `tests/a.rs::shows` | |",
        ] {
            assert!(!faults_of(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_test_belongs_to_its_file() {
        let said = Said {
            passed: ["handshake::server::tests::one".to_owned(), "mask::tests::two".to_owned()].into(),
            failed: ["text::tests::two".to_owned()].into(),
        };
        assert!(said.passed(&Reference { path: "src/handshake/server/tests.rs", name: "one" }));
        assert!(said.passed(&Reference { path: "src/mask.rs", name: "two" }));
        assert!(!said.passed(&Reference { path: "src/text.rs", name: "two" }));
        assert!(!said.passed(&Reference { path: "src/mask.rs", name: "three" }));
        assert_eq!(Binary::of("tests/a.rs").test.as_deref(), Some("a"));
        assert_eq!(Binary::of("crates/ws13-cli/tests/serve.rs").package, "ws13-cli");
        assert_eq!(Binary::of("src/mask.rs").test, None);
    }
}
