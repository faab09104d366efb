//! Why TLS fails, with real servers and both drivers: each cause has its type, and a sentence that a person understands.
#![cfg(all(feature = "tokio", feature = "tls"))]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/net.rs"]
mod net;
#[path = "common/tls.rs"]
mod tls;

use certificates::{Ca, Pair, self_signed};
use net::soon;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use tls::{both, serve, trusting};
use ws13::tls::{ClientTls, ServerTls, TlsError};
use ws13::{ConnectError, blocking};

/// Dials with both drivers; both fail alike.
async fn failure(url: &str, tls: &ClientTls) -> TlsError {
    let outcomes = both(url, tls).await;
    let [one, two] = outcomes.map(|outcome| match outcome {
        Err(ConnectError::Tls(error)) => error,
        other => panic!("{other:?}"),
    });
    let kind = |error: &TlsError| format!("{error:?}").split([' ', '(']).next().map(str::to_owned);
    assert_eq!(kind(&one), kind(&two));
    one
}

async fn failure_with(pair: &Pair, name: &str, tls: &ClientTls) -> TlsError {
    let port = serve(ServerTls::from_pem(&pair.chain, &pair.key).unwrap()).await.port();
    failure(&format!("wss://{name}:{port}/"), tls).await
}

#[tokio::test]
async fn a_right_chain_for_a_wrong_name_fails_and_names_both() {
    let ca = Ca::new("us");
    let error = failure_with(&ca.issue(&["example.com", "*.example.org"]), "localhost", &trusting(&ca)).await;
    assert!(matches!(&error, TlsError::WrongName { expected, .. } if expected == "localhost"), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("localhost") && told.contains("example.com, *.example.org"), "{told}");
    let error = failure_with(&ca.issue(&["localhost"]), "127.0.0.1", &trusting(&ca)).await;
    assert!(error.to_string().contains("127.0.0.1, but for localhost"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_and_one_for_later_fail() {
    let ca = Ca::new("us");
    let error =
        failure_with(&ca.issue_for_years(&["localhost"], 2001, 2002), "localhost", &trusting(&ca)).await;
    assert!(matches!(error, TlsError::Expired { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("expired") && told.contains(" days ago") && told.contains("renewed"), "{told}");
    let error =
        failure_with(&ca.issue_for_years(&["localhost"], 3001, 3002), "localhost", &trusting(&ca)).await;
    assert!(matches!(error, TlsError::NotYetValid), "{error:?}");
    assert!(error.to_string().contains("not valid yet"), "{error}");
}

#[tokio::test]
async fn a_self_signed_certificate_and_a_foreign_issuer_fail() {
    let error = failure_with(&self_signed(&["localhost"]), "localhost", &trusting(&Ca::new("us"))).await;
    assert!(matches!(error, TlsError::UnknownIssuer), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("self-signed") && told.contains("root") && told.contains("fingerprint"), "{told}");
    let issued = Ca::new("them").issue(&["localhost"]);
    let error = failure_with(&issued, "localhost", &trusting(&Ca::new("us"))).await;
    assert!(matches!(error, TlsError::UnknownIssuer), "{error:?}");
}

/// A CA's certificate in place of a server's, which `openssl req -x509` makes when nothing else is said.
#[tokio::test]
async fn a_cas_certificate_is_none_for_a_server() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pair = Pair { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() };
    let trusted = ClientTls::builder().roots_pem(&pair.chain).unwrap().build().unwrap();
    let error = failure_with(&pair, "localhost", &trusted).await;
    assert!(matches!(error, TlsError::Certificate(_)), "{error:?}");
    assert!(error.to_string().contains("one of a CA"), "{error}");
}

#[tokio::test]
async fn another_fingerprint_fails() {
    let tls = ClientTls::builder().fingerprint(ws13::tls::Fingerprint::of(b"")).build().unwrap();
    let error = failure_with(&self_signed(&["localhost"]), "localhost", &tls).await;
    assert!(matches!(error, TlsError::Fingerprint), "{error:?}");
}

/// A server that says this when it is dialled, and ends when it has read everything.
fn saying(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            // Something has come, and is read, so that the end is no reset.
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(words).unwrap();
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with() {
    let any = ClientTls::builder().danger_accept_any_certificate().build().unwrap();
    let address = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let error = failure(&format!("wss://{address}/"), &any).await;
    assert!(matches!(error, TlsError::NotTls), "{error:?}");
    assert!(error.to_string().contains("ws:// in place of wss://"), "{error}");
    // Ours answers a ClientHello as what it is to it: a request that is none.
    let plain = tls::serve_plain().await;
    let error = failure(&format!("wss://{plain}/"), &any).await;
    assert!(matches!(error, TlsError::NotTls), "{error:?}");
    let error = failure(&format!("wss://{}/", saying(b"")), &any).await;
    assert!(matches!(error, TlsError::Ended), "{error:?}");
    assert!(error.to_string().contains("maybe it does not speak TLS"), "{error}");
}

#[tokio::test]
async fn plain_text_to_a_port_for_tls_is_told() {
    // What other servers say to a request in plain text: an alert of TLS.
    let address = saying(&[0x15, 0x03, 0x01, 0, 2, 2, 70]);
    let url = format!("ws://{address}/");
    for outcome in both(&url, &ClientTls::builder().danger_accept_any_certificate().build().unwrap()).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(TlsError::OnlyTls)), "{error:?}");
        assert!(error.to_string().contains("wss:// in place of ws://"), "{error}");
    }
}

#[tokio::test]
async fn alerts_are_told() {
    let any = ClientTls::builder().danger_accept_any_certificate().build().unwrap();
    for (alert, expected) in
        [(70, "nothing in common"), (40, "nothing in common"), (116, "to be shown"), (80, "alert")]
    {
        let words: &'static [u8] = vec![0x15, 0x03, 0x03, 0, 2, 2, alert].leak();
        let error = failure(&format!("wss://{}/", saying(words)), &any).await;
        assert!(error.to_string().contains(expected), "{alert}: {error}");
    }
}

#[tokio::test]
async fn what_a_certificate_cannot_be_for_is_told_before_anything_is_sent() {
    let plain = tls::serve_plain().await;
    let outcome = soon(
        ws13::Client::new(&format!("wss://a_b..c:{}/", plain.port()))
            .map_or_else(|_| panic!("it is a URL"), |client| client.connect()),
    )
    .await;
    assert!(outcome.is_err());
    let wrong = ClientTls::builder().server_name("two words").map(drop).unwrap_err();
    assert!(wrong.to_string().contains("two words"), "{wrong}");
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_ends_by_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let tls = ClientTls::builder().danger_accept_any_certificate().build().unwrap();
    let time = Duration::from_millis(300);
    let dialled = soon(ws13::Client::new(&url).unwrap().tls(tls.clone()).timeout(time).connect()).await;
    assert!(matches!(dialled, Err(ConnectError::Timeout(_))), "{dialled:?}");
    let dialled = move || blocking::Client::new(&url).unwrap().tls(tls).timeout(time).connect();
    let dialled = tokio::task::spawn_blocking(dialled).await.unwrap();
    assert!(matches!(dialled, Err(ConnectError::Timeout(_))), "{dialled:?}");
}

#[test]
fn pem_files_that_cannot_be_are_told() {
    use ws13::tls::InvalidTls;
    let ca = Ca::new("us");
    let (one, two) = (ca.issue(&["localhost"]), ca.issue(&["localhost"]));
    let error = |chain: &str, key: &str| ServerTls::from_pem(chain, key).unwrap_err();
    assert!(matches!(error("", &one.key), InvalidTls::NoCertificate));
    assert!(matches!(error(&one.chain, ""), InvalidTls::NoKey));
    assert!(matches!(error(&one.chain, &one.chain), InvalidTls::NoKey));
    assert!(matches!(error(&one.chain, &two.key), InvalidTls::KeyOfAnother));
    let cut = &one.chain[..one.chain.len() / 2];
    assert!(matches!(error(cut, &one.key), InvalidTls::Pem(_)));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(error(broken, &one.key), InvalidTls::Key(_)));
    let error = ServerTls::from_pem_files("no/such/chain.pem", "no/such/key.pem").unwrap_err();
    assert!(error.to_string().contains("no/such/chain.pem"), "{error}");
    let error = ClientTls::builder().roots_pem(broken).map(drop).unwrap_err();
    assert!(matches!(error, InvalidTls::Root(_)), "{error:?}");
    let never = ServerTls::from_pem(&one.chain, &one.key).unwrap().reload();
    assert!(matches!(never, Err(InvalidTls::NoFiles)));
    let shown = format!("{:?}{:?}", ServerTls::from_pem(&one.chain, &one.key), trusting(&ca));
    assert!(shown.contains("Fingerprint(") && shown.len() < 400, "{shown}");
}
