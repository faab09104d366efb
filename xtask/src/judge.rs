//! The verdict on a run of Autobahn's cases: every chosen case has to be there, and OK.

use serde_json::Value;
use std::path::Path;

/// Every case there is, as `group:how many`; `1.1:8` stands for 1.1.1 to 1.1.8. 517 in all.
const CASES: &str = "\
    1.1:8 1.2:8 2:11 3:7 4.1:5 4.2:5 5:20 \
    6.1:3 6.2:4 6.3:2 6.4:4 6.5:5 6.6:11 6.7:4 6.8:2 6.9:4 6.10:3 6.11:5 6.12:8 6.13:5 6.14:10 6.15:1 6.16:3 \
    6.17:5 6.18:5 6.19:5 6.20:7 6.21:8 6.22:34 6.23:7 \
    7.1:6 7.3:6 7.5:1 7.7:13 7.9:9 7.13:2 9.1:6 9.2:6 9.3:9 9.4:9 9.5:6 9.6:6 9.7:6 9.8:6 10.1:1 \
    12.1:18 12.2:18 12.3:18 12.4:18 12.5:18 13.1:18 13.2:18 13.3:18 13.4:18 13.5:18 13.6:18 13.7:18";

/// These have no right answer, and are INFORMATIONAL for everybody.
const INFORMATIONAL: &[&str] = &["7.1.6", "7.13.1", "7.13.2"];

/// The ids that a comma-separated list of ids and globs chooses, such as `9.*,7.7.1`, in Autobahn's order.
pub(crate) fn chosen(patterns: &str) -> Result<Vec<String>, String> {
    let groups = CASES.split_whitespace().filter_map(|group| group.split_once(':'));
    let all = groups.flat_map(|(group, count)| {
        let count: u32 = count.parse().unwrap_or(0);
        (1..=count).map(move |n| format!("{group}.{n}"))
    });
    let all: Vec<_> = all.collect();
    if let Some(none) = patterns.split(',').find(|pattern| !all.iter().any(|id| fits(id, pattern))) {
        return Err(format!("{none:?} chooses no case of Autobahn"));
    }
    Ok(all.into_iter().filter(|id| patterns.split(',').any(|pattern| fits(id, pattern))).collect())
}

fn fits(id: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => id == pattern,
    }
}

/// One line for each chosen case that is not as it should be. `index` is Autobahn's index.json, by agent and case;
/// `folder` holds the reports that it points to.
pub(crate) fn failures(chosen: &[String], index: &Value, folder: &Path) -> Vec<String> {
    let agents: Vec<_> = index.as_object().into_iter().flatten().collect();
    let [(_, cases)] = agents.as_slice() else {
        return vec![format!("the report has {} agents, not one", agents.len())];
    };
    chosen.iter().filter_map(|id| failure(id, &cases[id], folder)).collect()
}

fn failure(id: &str, case: &Value, folder: &Path) -> Option<String> {
    let (behaviour, close) = match (case["behavior"].as_str(), case["behaviorClose"].as_str()) {
        (Some(behaviour), Some(close)) => (behaviour, close),
        _ => return Some(format!("{id}: not run")),
    };
    let good = |verdict| verdict == "OK" || (verdict == "INFORMATIONAL" && INFORMATIONAL.contains(&id));
    if good(behaviour) && good(close) {
        return None;
    }
    let why = reason(case, folder).unwrap_or_default();
    Some(format!("{id}: {behaviour}, close {close} with code {}{why}", case["remoteCloseCode"]))
}

/// What the case's own report says.
fn reason(case: &Value, folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(case["reportfile"].as_str()?)).ok()?;
    let report: Value = serde_json::from_str(&text).ok()?;
    Some(format!(": {} / {}", report["result"].as_str()?, report["resultClose"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdicts(behaviour: &str, close: &str, id: &str) -> Vec<String> {
        let index = json!({ "ws13": { id: { "behavior": behaviour, "behaviorClose": close, "remoteCloseCode": 1000 } } });
        failures(&[id.to_owned()], &index, Path::new("nowhere"))
    }

    #[test]
    fn there_are_517_cases() {
        assert_eq!(chosen("*").map(|ids| ids.len()), Ok(517));
        assert_eq!(chosen("9.*").map(|ids| ids.len()), Ok(54));
        assert_eq!(chosen("7.7.1,2.11"), Ok(vec!["2.11".to_owned(), "7.7.1".to_owned()]));
        assert!(chosen("8.*").is_err() && chosen("1.*,9.9.9").is_err());
    }

    #[test]
    fn only_ok_passes() {
        assert!(verdicts("OK", "OK", "1.1.1").is_empty());
        assert_eq!(verdicts("NON-STRICT", "OK", "6.4.1"), ["6.4.1: NON-STRICT, close OK with code 1000"]);
        assert_eq!(verdicts("OK", "UNCLEAN", "1.1.1").len(), 1);
        assert_eq!(verdicts("FAILED", "OK", "7.1.6").len(), 1);
    }

    #[test]
    fn informational_passes_where_it_must_be() {
        assert!(verdicts("INFORMATIONAL", "INFORMATIONAL", "7.13.1").is_empty());
        assert_eq!(verdicts("INFORMATIONAL", "OK", "1.1.1").len(), 1);
    }

    #[test]
    fn a_case_that_is_missing_fails() {
        let chosen = ["1.1.1".to_owned()];
        assert_eq!(failures(&chosen, &json!({ "ws13": {} }), Path::new("nowhere")), ["1.1.1: not run"]);
        assert_eq!(failures(&chosen, &json!({}), Path::new("nowhere")).len(), 1);
    }
}
