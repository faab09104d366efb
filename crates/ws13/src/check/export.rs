//! A report as JSON and as JUnit XML.

use super::report::{Outcome, Report, Role, Verdict};
use std::fmt::Write as _;

impl Report {
    /// The report as one JSON object: `role`, `target`, `seconds`, `counts` by verdict, and `cases`, each with `id`,
    /// `section`, `title`, `expected`, `seen`, `verdict`, `seconds` and `bytes`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let role = match self.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        let counts = Verdict::ALL.map(|verdict| format!("{}:{}", json(verdict.name()), self.count(verdict)));
        let cases: Vec<String> = self.outcomes.iter().map(json_case).collect();
        format!(
            "{{\"role\":{},\"target\":{},\"seconds\":{:.3},\"counts\":{{{}}},\"cases\":[\n{}\n]}}\n",
            json(role),
            json(&self.target),
            self.time.as_secs_f64(),
            counts.join(","),
            cases.join(",\n")
        )
    }

    /// The report as JUnit XML, which CI systems read: a failed case is a failure, a skipped one is skipped, and what
    /// was seen of any other stands in its output.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<testsuite name={} tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            xml(&format!("ws13 check {}", self.target)),
            self.outcomes.len(),
            self.count(Verdict::Failed),
            self.count(Verdict::Skipped),
            self.time.as_secs_f64()
        );
        for outcome in &self.outcomes {
            junit_case(outcome, &mut text);
        }
        text + "</testsuite>\n"
    }
}

fn json_case(outcome: &Outcome) -> String {
    let bytes: Vec<String> = outcome.bytes.iter().map(|line| json(line)).collect();
    let fields = [
        ("id", json(&outcome.id)),
        ("section", json(&outcome.section)),
        ("title", json(&outcome.title)),
        ("expected", json(&outcome.expected)),
        ("seen", json(&outcome.seen)),
        ("verdict", json(outcome.verdict.name())),
        ("seconds", format!("{:.3}", outcome.time.as_secs_f64())),
        ("bytes", format!("[{}]", bytes.join(","))),
    ];
    let fields = fields.map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", fields.join(","))
}

fn junit_case(outcome: &Outcome, text: &mut String) {
    let (class, _) = outcome.id.split_once('.').unwrap_or((&outcome.id, ""));
    let seen = format!(
        "{}: {}\nsent: {}\nexpected: {}\nseen: {}\n{}",
        outcome.verdict,
        outcome.section,
        outcome.title,
        outcome.expected,
        outcome.seen,
        outcome.bytes.join("\n")
    );
    let inner = match outcome.verdict {
        Verdict::Failed => format!("<failure message={}>{}</failure>", xml(&outcome.seen), escaped(&seen)),
        Verdict::Skipped => format!("<skipped message={}/>", xml(&outcome.seen)),
        _ => format!("<system-out>{}</system-out>", escaped(&seen)),
    };
    let _ = writeln!(
        text,
        "<testcase classname={} name={} time=\"{:.3}\">{inner}</testcase>",
        xml(class),
        xml(&outcome.id),
        outcome.time.as_secs_f64()
    );
}

/// A JSON string with its quotes (RFC 8259 7).
fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// An attribute's value with its quotes.
fn xml(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '"' => out += "&quot;",
            '\n' => out.push('\n'),
            // XML 1.0 has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report() -> Report {
        let outcome = |id: &str, verdict, seen: &str| Outcome {
            id: id.into(),
            section: "RFC 6455 5.1".into(),
            title: "a <frame>".into(),
            expected: "a & b".into(),
            seen: seen.into(),
            verdict,
            time: Duration::from_millis(12),
            bytes: vec!["-> 81 00".into()],
        };
        let outcomes = vec![
            outcome("a.b", Verdict::Failed, "\"x\\\"\n\u{1}<"),
            outcome("a.c", Verdict::Ok, "the echo"),
            outcome("d", Verdict::Skipped, "no echo"),
        ];
        Report { role: Role::Server, target: "ws://a/?b&c".into(), outcomes, time: Duration::from_secs(1) }
    }

    #[test]
    fn json_is_escaped() {
        let text = report().to_json();
        assert!(text.contains(r#""seen":"\"x\\\"\n\u0001<""#), "{text}");
        assert!(
            text.contains(r#""counts":{"ok":1,"non-strict":0,"informational":0,"failed":1,"skipped":1}"#)
        );
        assert_eq!(text.matches(r#""bytes":["-> 81 00"]"#).count(), 3);
    }

    #[test]
    fn xml_is_escaped() {
        let text = report().to_junit();
        assert!(
            text.contains("name=\"ws13 check ws://a/?b&amp;c\" tests=\"3\" failures=\"1\" skipped=\"1\"")
        );
        assert!(text.contains("<failure message=\"&quot;x\\&quot;\n\u{fffd}&lt;\">"), "{text}");
        assert!(text.contains("<skipped message=\"no echo\"/>") && text.contains("a &lt;frame&gt;"));
    }
}
