//! docs/autobahn.md: what the two indexes of a run of all of Autobahn's cases come to, by section.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Autobahn's reports by case.
pub(crate) type Cases = Map<String, Value>;

const SECTIONS: [(&str, &str); 11] = [
    ("1", "framing"),
    ("2", "Ping and Pong"),
    ("3", "reserved bits"),
    ("4", "opcodes"),
    ("5", "fragmentation"),
    ("6", "UTF-8"),
    ("7", "closing handshake"),
    ("9", "limits"),
    ("10", "what is left"),
    ("12", "permessage-deflate: payloads"),
    ("13", "permessage-deflate: parameters"),
];

/// The page; `engine` is what ran the cases.
pub(crate) fn page(engine: &str, server: &Cases, client: &Cases) -> String {
    let mut page = INTRODUCTION.replace("ENGINE", engine);
    // Writing to a String cannot fail.
    for (section, what) in SECTIONS {
        let [server, client] = [server, client].map(|cases| cell(&verdicts(cases, Some(section))));
        let _ = writeln!(page, "| {section} {what} | {server} | {client} |");
    }
    let [server, client] = [server, client].map(|cases| cell(&verdicts(cases, None)));
    let _ = writeln!(page, "| **all** | {server} | {client} |");
    page
}

/// How many cases have which verdict.
fn verdicts(cases: &Cases, section: Option<&str>) -> BTreeMap<String, usize> {
    let mut verdicts = BTreeMap::new();
    for (id, case) in cases {
        if section.is_none_or(|section| id.split('.').next() == Some(section)) {
            *verdicts.entry(verdict(case)).or_default() += 1;
        }
    }
    verdicts
}

/// The worse of what is said of the case and of how its connection ended; what is informational has no worse.
fn verdict(case: &Value) -> String {
    match [&case["behavior"], &case["behaviorClose"]].map(|verdict| verdict.as_str().unwrap_or("none")) {
        ["INFORMATIONAL", _] => "informational".to_owned(),
        ["OK", "OK"] => "OK".to_owned(),
        ["OK", close] => format!("**close {close}**"),
        [behaviour, _] => format!("**{behaviour}**"),
    }
}

fn cell(verdicts: &BTreeMap<String, usize>) -> String {
    let told: Vec<_> = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    if told.is_empty() { "not run".to_owned() } else { told.join(", ") }
}

const INTRODUCTION: &str = "\
# Autobahn, in sum

All 517 cases of Autobahn's test suite against `ws13 serve echo` and against a client of ws13's, both with
permessage-deflate, by ENGINE. `cargo xtask autobahn` runs them and writes this page; a run of
one role or of some cases leaves it as it is. The three cases that are informational (7.1.6, 7.13.1, 7.13.2) are so for
everybody.

| Section | Server | Client |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cases(all: &[(&str, &str, &str)]) -> Cases {
        let all = all.iter();
        all.map(|&(id, behaviour, close)| {
            (id.to_owned(), json!({ "behavior": behaviour, "behaviorClose": close }))
        })
        .collect()
    }

    #[test]
    fn a_page_counts_verdicts_by_section_and_shows_what_is_not_ok() {
        let server = cases(&[("1.1.1", "OK", "OK"), ("1.2.1", "OK", "UNCLEAN"), ("10.1.1", "OK", "OK")]);
        let client = cases(&[("7.1.6", "INFORMATIONAL", "INFORMATIONAL"), ("1.1.1", "NON-STRICT", "OK")]);
        let page = page("hand", &server, &client);
        assert!(page.contains("by hand."), "{page}");
        assert!(page.contains("| 1 framing | 1 **close UNCLEAN**, 1 OK | 1 **NON-STRICT** |\n"), "{page}");
        assert!(page.contains("| 7 closing handshake | not run | 1 informational |\n"), "{page}");
        assert!(
            page.contains("| **all** | 1 **close UNCLEAN**, 2 OK | 1 **NON-STRICT**, 1 informational |"),
            "{page}"
        );
    }
}
