//! The conformance suite itself: it finds each fault that it looks for, and none where there is none.
#![cfg(feature = "check")]

#[path = "common/broken.rs"]
mod broken;
#[cfg(feature = "deflate")]
#[path = "common/broken_deflate.rs"]
mod broken_deflate;

use broken::{Fault, run_cases, serve};
use std::time::Duration;
use ws13::check::{self, ClientCheck, Error, Options, Report, Role, Verdict};

/// The cases that the small endpoint is meant to pass.
const THEMES: [&str; 5] = ["frames", "messages", "utf8", "close", "alive"];

fn options(only: &[&str]) -> Options {
    let only = only.iter().map(|&pattern| pattern.to_owned()).collect();
    Options { only, timeout: Duration::from_secs(3), jobs: 32, ..Options::default() }
}

fn server(fault: Fault, only: &[&str]) -> Report {
    check::server(&serve(fault), &options(only)).expect("the server is there")
}

fn client(fault: Fault, only: &[&str]) -> Report {
    let server = ClientCheck::bind("127.0.0.1:0", options(only)).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let client = std::thread::spawn(move || run_cases(&address, fault));
    let report = server.run().expect("the client comes");
    client.join().unwrap();
    report
}

fn verdict(report: &Report, id: &str) -> Verdict {
    report.outcomes.iter().find(|outcome| outcome.id == id).unwrap_or_else(|| panic!("no {id}")).verdict
}

#[test]
fn a_small_endpoint_without_a_fault_passes() {
    let report = server(Fault::None, &THEMES);
    assert!(report.passed(), "{report}");
    assert!(report.count(Verdict::Ok) > 300, "{report}");
    let report =
        client(Fault::None, &["frames", "messages", "utf8.invalid", "close", "answer.take", "request"]);
    assert!(report.passed(), "{report}");
    assert!(report.count(Verdict::Ok) > 200, "{report}");
}

#[test]
fn every_fault_of_a_server_is_found() {
    for (fault, id, expected) in [
        (Fault::MaskNotChecked, "frames.unmasked.text", Verdict::Failed),
        (Fault::MaskNotChecked, "frames.unmasked.close", Verdict::Failed),
        (Fault::Masks, "frames.length.1.text", Verdict::Failed),
        (Fault::ReservedBitsTaken, "frames.rsv1.text", Verdict::Failed),
        (Fault::ReservedBitsTaken, "frames.rsv2.continuation", Verdict::Failed),
        (Fault::ReservedOpcodesTaken, "frames.opcode-3.empty", Verdict::Failed),
        (Fault::ReservedOpcodesTaken, "frames.opcode-11.in-message", Verdict::Failed),
        (Fault::LongControlTaken, "frames.control.ping.126", Verdict::Failed),
        (Fault::LongLengthsSent, "frames.length.1.binary", Verdict::Failed),
        (Fault::MixedFragmentsTaken, "messages.order.text-in-text", Verdict::Failed),
        (Fault::MixedFragmentsTaken, "messages.order.continuation-first", Verdict::Failed),
        (Fault::FragmentsDropped, "messages.fragments.two.text", Verdict::Failed),
        (Fault::Utf8NotChecked, "utf8.invalid.ff", Verdict::Failed),
        (Fault::Utf8NotChecked, "utf8.invalid-cut.surrogate-d800", Verdict::Failed),
        (Fault::Utf8CheckedByFrame, "utf8.valid-cut.ud7ff", Verdict::Failed),
        (Fault::EmptyPongs, "messages.ping.text", Verdict::Failed),
        (Fault::PongsLate, "messages.between.answered-early", Verdict::Failed),
        (Fault::PongsDoubled, "messages.ping.ten-at-once", Verdict::NonStrict),
        (Fault::CloseNotAnswered, "close.code.1000", Verdict::Failed),
        (Fault::CloseAlways1000, "close.code.1001", Verdict::NonStrict),
        (Fault::CodesNotChecked, "close.code.1005", Verdict::Failed),
        (Fault::CodesNotChecked, "close.code.2999", Verdict::NonStrict),
        (Fault::TcpKeptOpen, "close.tcp.server-first", Verdict::Failed),
        (Fault::EchoAfterClose, "close.then.text", Verdict::Failed),
        (Fault::SilentAfterViolation, "frames.rsv3.ping", Verdict::NonStrict),
        (Fault::WrongAccept, "handshake.plain", Verdict::Failed),
        (Fault::AnyRequestTaken, "handshake.upgrade.missing", Verdict::Failed),
        (Fault::AnyRequestTaken, "handshake.connection.longer", Verdict::Failed),
        (Fault::SubprotocolInvented, "handshake.plain", Verdict::Failed),
        (Fault::SubprotocolInvented, "handshake.subprotocol.unknown", Verdict::Failed),
        (Fault::ExtensionInvented, "handshake.extension.unknown", Verdict::Failed),
    ] {
        let report = server(fault, &[id]);
        assert_eq!(verdict(&report, id), expected, "{fault:?}: {report}");
    }
}

#[test]
fn every_fault_of_a_client_is_found() {
    for (fault, id) in [
        (Fault::MaskNotChecked, "frames.masked.text"),
        (Fault::Masks, "frames.length.1.text"),
        (Fault::OneKey, "frames.mask-key.fresh"),
        (Fault::Utf8NotChecked, "utf8.invalid.overlong-c080"),
        (Fault::EmptyPongs, "messages.ping.text"),
        (Fault::AnyAnswerTaken, "answer.refuse.accept.missing"),
        (Fault::AnyAnswerTaken, "answer.refuse.upgrade.other"),
        (Fault::AnyAnswerTaken, "answer.status.200"),
    ] {
        let report = client(fault, &[id]);
        assert_eq!(verdict(&report, id), Verdict::Failed, "{fault:?}: {report}");
    }
}

#[cfg(feature = "deflate")]
#[test]
fn every_fault_of_a_server_that_compresses_or_has_no_limits_is_found() {
    use broken_deflate::{Fault, serve};
    let server = |fault, only: &[&str]| check::server(&serve(fault), &options(only)).unwrap();
    let report = server(Fault::None, &["deflate", "limits"]);
    assert!(report.passed() && report.count(Verdict::Ok) > 80, "{report}");
    for (fault, id, expected) in [
        (Fault::AnyOfferTaken, "deflate.bad-offer.server-bits-7", Verdict::Failed),
        (Fault::AnyOfferTaken, "deflate.bad-offer.unknown", Verdict::Failed),
        (Fault::ClientBitsUnasked, "deflate.offer.bare", Verdict::Failed),
        (Fault::WindowDropped, "deflate.window.next", Verdict::Failed),
        (Fault::WindowDropped, "deflate.window.after-plain", Verdict::Failed),
        (Fault::ReservedBitTaken, "deflate.rsv1.continuation", Verdict::Failed),
        (Fault::ReservedBitTaken, "deflate.rsv1.ping", Verdict::Failed),
        (Fault::NoLimits, "deflate.bomb", Verdict::Informational),
        (Fault::NoLimits, "limits.announced.binary", Verdict::NonStrict),
    ] {
        let report = server(fault, &[id]);
        assert_eq!(verdict(&report, id), expected, "{fault:?}: {report}");
    }
}

#[test]
fn a_report_tells_what_was_expected_and_seen_with_the_bytes() {
    let report = server(Fault::MaskNotChecked, &["frames.unmasked.text"]);
    assert_eq!((report.role, report.outcomes.len()), (Role::Server, 1));
    let outcome = &report.outcomes[0];
    assert_eq!(outcome.section, "RFC 6455 5.1");
    assert!(outcome.seen.contains("\"hello\" came back"), "{}", outcome.seen);
    assert!(outcome.bytes.contains(&"-> 81 05 68 65 6c 6c 6f".to_owned()), "{:?}", outcome.bytes);
    let text = report.to_string();
    assert!(text.starts_with("failed        frames.unmasked.text  (RFC 6455 5.1)"), "{text}");
    assert!(text.ends_with("0 ok, 0 non-strict, 0 informational, 1 failed, 0 skipped\n"), "{text}");
    assert!(report.to_json().contains("\"verdict\":\"failed\"") && report.to_junit().contains("<failure"));
}

#[test]
fn a_server_that_does_not_echo_is_tested_as_far_as_it_goes() {
    // Whatever comes as a message is dropped.
    let server = ws13::blocking::Server::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", server.local_addr().unwrap());
    std::thread::spawn(move || {
        server.serve(|_, mut socket| {
            while socket.receive()?.is_some() {}
            Ok::<(), ws13::Error>(())
        })
    });
    let report =
        check::server(&url, &options(&["frames.length", "frames.rsv1", "messages.ping", "utf8.invalid.ff"]));
    let report = report.unwrap();
    assert!(report.is_strict(), "{report}");
    assert_eq!(verdict(&report, "frames.length.1.text"), Verdict::Skipped);
    assert_eq!(verdict(&report, "frames.rsv1.text"), Verdict::Ok);
    assert_eq!(verdict(&report, "utf8.invalid.ff"), Verdict::Ok);
}

#[test]
fn nothing_to_test_is_an_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = |url: &str, options: &Options| check::server(url, options).unwrap_err();
    assert!(matches!(error(&format!("ws://{free}/"), &Options::default()), Error::Unreachable(..)));
    assert!(matches!(error("wss://127.0.0.1/", &Options::default()), Error::Secure));
    assert!(matches!(error("nonsense", &Options::default()), Error::Url(_)));
    assert!(matches!(error(&serve(Fault::None), &options(&["nonsense"])), Error::NoCase));
    let idle = Options { idle: Duration::from_millis(50), ..Options::default() };
    let nobody = ClientCheck::bind("127.0.0.1:0", idle).unwrap().run();
    assert!(matches!(nobody.unwrap_err(), Error::NoClient));
}
