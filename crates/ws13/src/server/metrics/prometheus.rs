//! The figures as Prometheus reads them: text format 0.0.4.

use super::{RoundTrips, Snapshot};
use std::fmt::{Display, Write};
use std::time::Duration;

pub(super) fn text(now: &Snapshot) -> String {
    let mut text = Text(String::new());
    text.single("connections_open", "gauge", "Connections that are open.", now.open);
    text.single("handshakes_open", "gauge", "Opening handshakes under way.", now.handshakes_open);
    text.single("connections_opened_total", "counter", "WebSocket connections that were opened.", now.opened);
    text.family("connections_closed_total", "counter", "Connections that ended, by close code.");
    for (code, count) in &now.closed {
        text.line("connections_closed_total", &format!("{{code=\"{code}\"}}"), count);
    }
    text.single(
        "violations_total",
        "counter",
        "Connections whose client broke the protocol.",
        now.violations,
    );
    text.single("limits_hit_total", "counter", "Connections whose client went over a limit.", now.limits_hit);
    text.family("handshakes_refused_total", "counter", "Opening handshakes that were refused, by reason.");
    for (reason, count) in &now.refused {
        text.line("handshakes_refused_total", &format!("{{reason=\"{reason}\"}}"), count);
    }
    text.single("accept_errors_total", "counter", "Times that accept failed.", now.accept_errors);
    text.directions("messages_total", "Messages.", [now.messages_received, now.messages_sent]);
    text.directions("wire_bytes_total", "Bytes on the wire.", [now.bytes_received, now.bytes_sent]);
    text.directions(
        "compressed_bytes_total",
        "Bytes of compressed messages, as they are on the wire.",
        [now.inflated_from, now.deflated_to],
    );
    text.directions(
        "uncompressed_bytes_total",
        "Bytes of the same messages, as the program has them.",
        [now.inflated_to, now.deflated_from],
    );
    text.single("queued_bytes", "gauge", "Bytes that wait to be written.", now.queued);
    text.single("queued_bytes_most", "gauge", "Bytes that wait on the fullest connection.", now.queued_most);
    text.histogram("round_trip_seconds", "Round-trip times of Pings.", &now.round_trips);
    text.0
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP ws13_{name} {help}\n# TYPE ws13_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "ws13_{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.line(name, "", value);
    }

    fn directions(&mut self, name: &str, help: &str, values: [u64; 2]) {
        self.family(name, "counter", help);
        for (direction, value) in ["received", "sent"].into_iter().zip(values) {
            self.line(name, &format!("{{direction=\"{direction}\"}}"), value);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, times: &RoundTrips) {
        self.family(name, "histogram", help);
        let bounds = RoundTrips::BOUNDS.iter().map(Duration::as_secs_f64).map(|bound| bound.to_string());
        let mut below = 0;
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(times.counts()) {
            below += count;
            self.line(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), below);
        }
        self.line(&format!("{name}_sum"), "", times.sum().as_secs_f64());
        self.line(&format!("{name}_count"), "", times.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_help_its_type_and_its_lines() {
        let mut now = Snapshot { open: 3, messages_sent: 7, ..Snapshot::default() };
        now.closed.insert(1001, 2);
        now.refused.insert("403".to_owned(), 5);
        now.round_trips.add(Duration::from_millis(3));
        let text = text(&now);
        for line in [
            "# TYPE ws13_connections_open gauge",
            "ws13_connections_open 3",
            "ws13_connections_closed_total{code=\"1001\"} 2",
            "ws13_handshakes_refused_total{reason=\"403\"} 5",
            "ws13_messages_total{direction=\"sent\"} 7",
            "ws13_round_trip_seconds_bucket{le=\"0.002\"} 0",
            "ws13_round_trip_seconds_bucket{le=\"0.005\"} 1",
            "ws13_round_trip_seconds_bucket{le=\"+Inf\"} 1",
            "ws13_round_trip_seconds_sum 0.003",
            "ws13_round_trip_seconds_count 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("# HELP").count(), text.matches("# TYPE").count());
    }
}
