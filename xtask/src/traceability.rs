//! The rows of the RFCs' tables in docs/: each points to code and tests that exist, or says why it points nowhere.

use crate::tools::{self, Outcome};
use std::collections::{HashMap, HashSet};

const TABLES: [&str; 2] = ["docs/rfc6455.md", "docs/rfc7692.md"];

/// Where paths of the table begin, unless they begin with `crates/`.
pub(crate) const HOME: &str = "crates/ws13";

/// A row that begins with one of these may have no place or no test.
const REASONS: [&str; 4] = ["Not applicable", "Left to the user", "Not yet", "Differs"];

pub(crate) fn check() -> Outcome {
    // All of them, so that one failure does not hide another.
    let outcomes: Vec<_> = TABLES.into_iter().map(check_table).collect();
    outcomes.into_iter().collect()
}

fn check_table(table: &str) -> Outcome {
    let text = tools::read(&tools::root().join(table))?;
    let mut files = HashMap::new();
    let mut read = |path: &str| -> Option<String> {
        let known = files.entry(path.to_owned());
        known.or_insert_with(|| tools::read(&tools::root().join(path)).ok()).clone()
    };
    let rows = rows(&text);
    let wrong = faults(&rows, &mut read);
    for line in &wrong {
        println!("not ok - {table}: {line}");
    }
    let shown = rows.iter().filter(|row| row.is_shown()).count();
    println!("{table}: {} rows, {shown} with a place and a test, {} without", rows.len(), rows.len() - shown);
    for reason in REASONS {
        println!("{:>5} {reason}", rows.iter().filter(|row| row.reason() == Some(reason)).count());
    }
    match (rows.is_empty(), wrong.len()) {
        (true, _) => Err(format!("{table} has no rows")),
        (false, 0) => Ok(()),
        (false, count) => Err(format!("{table} has {count} faults")),
    }
}

/// A row of the table: id, binds, rule, places, tests, remark.
struct Row<'a> {
    id: &'a str,
    /// A place or a test that is no `` `path::name` ``, or too many or too few cells.
    malformed: bool,
    rule: &'a str,
    places: Vec<Reference<'a>>,
    tests: Vec<Reference<'a>>,
    remark: &'a str,
}

/// `path::name`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference<'a> {
    pub(crate) path: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Row<'a> {
    /// `None` for a line that is no row, or a table's head.
    fn parse(line: &'a str) -> Option<Self> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let mut cells = inner.split('|').map(str::trim);
        let id = cells.next()?;
        if id == "Id" || id.starts_with("---") {
            return None;
        }
        let mut cell = || cells.next().unwrap_or_default();
        let (binds, rule, places, tests, remark) = (cell(), cell(), cell(), cell(), cell());
        let (places, tests) = (references(places), references(tests));
        let malformed = binds.is_empty() || inner.split('|').count() != 6;
        Some(Row {
            id,
            malformed: malformed || places.is_none() || tests.is_none(),
            rule,
            places: places.unwrap_or_default(),
            tests: tests.unwrap_or_default(),
            remark,
        })
    }

    fn is_shown(&self) -> bool {
        !self.places.is_empty() && !self.tests.is_empty()
    }

    /// The reason, where the remark begins with one and goes on.
    fn reason(&self) -> Option<&'static str> {
        let goes_on = |rest: &str| rest.strip_prefix(": ").is_some_and(|why| !why.is_empty());
        REASONS.into_iter().find(|&reason| self.remark.strip_prefix(reason).is_some_and(goes_on))
    }
}

fn rows(text: &str) -> Vec<Row<'_>> {
    text.lines().filter_map(Row::parse).collect()
}

/// What a cell points to; `None` when a part of it is no reference.
pub(crate) fn references(cell: &str) -> Option<Vec<Reference<'_>>> {
    let parts = cell.split("<br>").map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (path, name) = part.strip_prefix('`')?.strip_suffix('`')?.split_once("::")?;
            (!path.is_empty() && !name.is_empty()).then_some(Reference { path, name })
        })
        .collect()
}

/// All that is wrong with the rows; `read` gives a file's text.
fn faults(rows: &[Row<'_>], read: &mut impl FnMut(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ids = HashSet::new();
    for row in rows {
        let mut fault = |what: String| wrong.push(format!("{}: {what}", row.id));
        if row.malformed {
            fault("a row has six cells, and references look like `path::name`".into());
        }
        if row.id.is_empty() || row.rule.is_empty() || !ids.insert(row.id) {
            fault("each row has a rule, and an id of its own".into());
        }
        if !row.is_shown() && row.reason().is_none() {
            fault("it has neither a place and a test nor a reason".into());
        }
        let places = row.places.iter().map(|place| (place, false));
        for (Reference { path, name }, is_test) in places.chain(row.tests.iter().map(|test| (test, true))) {
            let path = if path.starts_with("crates/") { (*path).into() } else { format!("{HOME}/{path}") };
            match read(&path) {
                None => fault(format!("{path} does not exist")),
                Some(text) if !has_fn(&text, name, is_test) => {
                    fault(format!("{path} has no {} {name}", if is_test { "test" } else { "function" }))
                }
                Some(_) => {}
            }
        }
    }
    wrong
}

/// Whether `fn name` stands in the text, where it must be one under an attribute such as `#[tokio::test]`.
pub(crate) fn has_fn(text: &str, name: &str, is_test: bool) -> bool {
    let mut under_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            under_test |= line.starts_with("#[test]") || line.contains("::test");
        } else if let Some((before, after)) = line.split_once("fn ") {
            let rest = after.strip_prefix(name).filter(|_| !before.contains("//"));
            if rest.is_some_and(|rest| rest.starts_with(['(', '<'])) && (under_test || !is_test) {
                return true;
            }
            under_test = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(lines: &str) -> Vec<String> {
        let file = "fn place<T>() {}\n// fn spoken() {}\n#[test]\nfn shows() {}\n#[tokio::test]\nasync fn too() {}\n";
        faults(&rows(lines), &mut |path| (path == "crates/ws13/src/a.rs").then(|| file.to_owned()))
    }

    #[test]
    fn rows_that_point_somewhere_or_say_why_not_are_right() {
        let table = "text\n| Id | Binds | Rule | Place | Test | Remark |\n|---|---|---|---|---|---|\n\
            | 1-1 | both | MUST. | `src/a.rs::place` | `src/a.rs::shows`<br>`src/a.rs::too` | |\n\
            | 1-2 | both | MUST. | `crates/ws13/src/a.rs::place` | | Not yet: later. |\n";
        assert_eq!(rows(table).len(), 2);
        assert_eq!(faults_of(table), Vec::<String>::new());
    }

    #[test]
    fn rows_that_point_nowhere_are_faults() {
        for (row, fault) in [
            (
                "| 1 | b | r | `src/b.rs::place` | `src/a.rs::shows` | |",
                "1: crates/ws13/src/b.rs does not exist",
            ),
            ("| 1 | b | r | `src/a.rs::plac` | `src/a.rs::shows` | |", "has no function plac"),
            ("| 1 | b | r | `src/a.rs::spoken` | `src/a.rs::shows` | |", "has no function spoken"),
            ("| 1 | b | r | `src/a.rs::place` | `src/a.rs::place` | |", "has no test place"),
            ("| 1 | b | r | `src/a.rs::place` | | |", "neither a place and a test nor a reason"),
            ("| 1 | b | r | `src/a.rs::place` | | Note: well. |", "neither"),
            ("| 1 | b | r | | | Not applicable: |", "neither"),
            ("| 1 | b | r | src/a.rs::place | | Differs: so. |", "six cells"),
            ("| 1 | b | r | | Differs: so. |", "six cells"),
            ("| 1 | b | | | | Differs: so. |", "a rule, and an id"),
            ("| 1 | b | r | | | Differs: so. |\n| 1 | b | r | | | Differs: so. |", "an id of its own"),
        ] {
            let found = faults_of(row);
            assert!(found.iter().any(|line| line.contains(fault)), "{row}: {found:?}");
        }
    }
}
