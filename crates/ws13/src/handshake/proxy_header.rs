//! The PROXY protocol, versions 1 and 2: how a proxy tells a server whose connection it passes on, before anything else
//! on the connection.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Range;
use std::fmt;

/// What a proxy said about the connection that it passes on.
///
/// ```
/// use ws13::handshake::proxy_header::{Parsed, ProxyHeader};
/// let bytes = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
/// let Parsed::Header(header, used) = ProxyHeader::parse(bytes)? else { return Err("not complete".into()) };
/// assert_eq!(header.client(), Some("192.0.2.1:56324".parse()?));
/// assert_eq!(used, bytes.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    client: Option<SocketAddr>,
    destination: Option<SocketAddr>,
    secure: bool,
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A beginning: at least so many bytes more belong to the header. Who reads no more than that at a time never reads
    /// what follows the header.
    More(usize),
    /// The header, and how many bytes it took.
    Header(ProxyHeader, usize),
}

/// The longest header that is taken, in bytes: version 2 could announce 64 KiB, and nobody sends them.
pub const MAX_LEN: usize = 4096;

impl ProxyHeader {
    /// Reads a header from the front of what was received. No work is done before a header is complete but for looking
    /// at its beginning, and for version 1 at its at most 107 bytes.
    ///
    /// # Errors
    /// [`InvalidProxyHeader`], at the first byte that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, InvalidProxyHeader> {
        if bytes.is_empty() {
            return Ok(Parsed::More(V1.start));
        }
        if begins(bytes, SIGNATURE_V2) {
            return parse_v2(bytes);
        }
        if begins(bytes, SIGNATURE_V1) {
            return parse_v1(bytes);
        }
        Err(InvalidProxyHeader::Signature)
    }

    /// The client's address. `None` when the proxy speaks for itself (LOCAL, such as a health check), or does not tell
    /// (UNKNOWN, or an address that is not of the internet): then the connection's own address holds.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// Where the client connected to.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        self.destination
    }

    /// Whether the client connected by TLS, which ended at the proxy. Only version 2 tells.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

const SIGNATURE_V1: &[u8] = b"PROXY ";
const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A line of version 1 at its longest, with its end, and at its shortest ("PROXY UNKNOWN").
const V1: Range<usize> = 15..107;

/// Version 2 before its addresses.
const V2_HEAD: usize = 16;

/// Whether the bytes are `signature` as far as they go, or go beyond it.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let len = bytes.len().min(signature.len());
    bytes[..len] == signature[..len]
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, InvalidProxyHeader> {
    let line = &bytes[..bytes.len().min(V1.end)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        if line.len() >= V1.end {
            return Err(InvalidProxyHeader::TooLong);
        }
        let ending = if line.last() == Some(&b'\r') { 1 } else { 2 };
        return Ok(Parsed::More(ending.max(V1.start.saturating_sub(line.len()))));
    };
    let text = line[..end].strip_suffix(b"\r").and_then(|text| std::str::from_utf8(text).ok());
    let header = text.and_then(v1_addresses).ok_or(InvalidProxyHeader::Line)?;
    Ok(Parsed::Header(header, end + 1))
}

/// `PROXY TCP4 source destination port port`, with single blanks between them.
fn v1_addresses(line: &str) -> Option<ProxyHeader> {
    let mut words = line.split(' ').skip(1);
    let v6 = match words.next()? {
        "TCP4" => false,
        "TCP6" => true,
        // "the receiver must ignore anything presented before the CRLF is found" (2.1).
        "UNKNOWN" => return Some(ProxyHeader::default()),
        _ => return None,
    };
    let mut address = || words.next()?.parse::<IpAddr>().ok().filter(|address| address.is_ipv6() == v6);
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().filter(|port| is_number(port))?.parse::<u16>().ok();
    let (source_port, destination_port) = (port()?, port()?);
    words.next().is_none().then_some(ProxyHeader {
        client: Some(SocketAddr::new(source, source_port)),
        destination: Some(SocketAddr::new(destination, destination_port)),
        secure: false,
    })
}

/// Digits, and no zeros before them.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, InvalidProxyHeader> {
    let Some((head, rest)) = bytes.split_at_checked(V2_HEAD) else {
        return match bytes.get(SIGNATURE_V2.len()) {
            Some(byte) if byte >> 4 != 2 => Err(InvalidProxyHeader::Version),
            _ => Ok(Parsed::More(V2_HEAD - bytes.len())),
        };
    };
    if head[12] >> 4 != 2 {
        return Err(InvalidProxyHeader::Version);
    }
    let len = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if V2_HEAD + len > MAX_LEN {
        return Err(InvalidProxyHeader::TooLong);
    }
    let Some(body) = rest.get(..len) else { return Ok(Parsed::More(len - rest.len())) };
    let header = match head[12] & 0xf {
        LOCAL => ProxyHeader::default(),
        PROXY => v2_addresses(head[13], body)?,
        _ => return Err(InvalidProxyHeader::Command),
    };
    Ok(Parsed::Header(header, V2_HEAD + len))
}

const LOCAL: u8 = 0;
const PROXY: u8 = 1;

/// The addresses by family and transport (2.2): what is no TCP over IP tells nothing, and is no error.
fn v2_addresses(family: u8, body: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    let (address_len, fits) = match family >> 4 {
        1 => (4, true),
        2 => (16, true),
        3 => (108, false),
        _ => return Ok(ProxyHeader::default()),
    };
    let ports = if fits { 2 } else { 0 };
    let (addresses, tlvs) =
        body.split_at_checked(2 * (address_len + ports)).ok_or(InvalidProxyHeader::Addresses)?;
    let secure = tlvs_say_secure(tlvs)?;
    if !fits || family & 0xf != 1 {
        return Ok(ProxyHeader { secure, ..ProxyHeader::default() });
    }
    let (ips, ports) = addresses.split_at(2 * address_len);
    let (source, destination) = ips.split_at(address_len);
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let socket = |address: &[u8], port| ip(address).map(|ip| SocketAddr::new(ip, port));
    Ok(ProxyHeader { client: socket(source, port(0)), destination: socket(destination, port(2)), secure })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    v4.or_else(|_| v6()).ok()
}

const PP2_TYPE_SSL: u8 = 0x20;
const PP2_CLIENT_SSL: u8 = 0x01;

/// What follows the addresses: type, length, value. All are skipped but the one that tells of TLS.
fn tlvs_say_secure(mut tlvs: &[u8]) -> Result<bool, InvalidProxyHeader> {
    let mut secure = false;
    while let Some((&kind, rest)) = tlvs.split_first() {
        let (len, rest) = rest.split_first_chunk().ok_or(InvalidProxyHeader::Tlv)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (value, rest) = rest.split_at_checked(len).ok_or(InvalidProxyHeader::Tlv)?;
        secure |= kind == PP2_TYPE_SSL && value.first().is_some_and(|client| client & PP2_CLIENT_SSL != 0);
        tlvs = rest;
    }
    Ok(secure)
}

/// Why the bytes are no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidProxyHeader {
    /// They begin with neither version's signature.
    Signature,
    /// The version is another than 1 and 2.
    Version,
    /// The command is neither LOCAL nor PROXY.
    Command,
    /// The header is longer than [`MAX_LEN`], or version 1's line than 107 bytes.
    TooLong,
    /// Version 1's line is not as it must be.
    Line,
    /// There are fewer bytes than the addresses take.
    Addresses,
    /// A field behind the addresses goes beyond the header's end.
    Tlv,
}

impl fmt::Display for InvalidProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidProxyHeader::Signature => {
                "the connection does not begin with a PROXY protocol header: have the proxy send one"
            }
            InvalidProxyHeader::Version => "the PROXY protocol header has a version other than 1 and 2",
            InvalidProxyHeader::Command => {
                "the PROXY protocol header has a command other than LOCAL and PROXY"
            }
            InvalidProxyHeader::TooLong => "the PROXY protocol header is too long",
            InvalidProxyHeader::Line => "the line of the PROXY protocol, version 1, is malformed",
            InvalidProxyHeader::Addresses => "the PROXY protocol header is too short for its addresses",
            InvalidProxyHeader::Tlv => "a field of the PROXY protocol header goes beyond its end",
        })
    }
}

impl core::error::Error for InvalidProxyHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2, followed by something else.
    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE_V2, &[0x20 | command, family], &len, body, b"GET / HTTP/1.1"].concat()
    }

    fn addresses_v4() -> Vec<u8> {
        [[192, 0, 2, 1], [198, 51, 100, 7]].concat().into_iter().chain([0xdc, 0x04, 0x01, 0xbb]).collect()
    }

    /// Feeds the bytes one more at a time; the answer must be the same at every split, and no sooner than it can be.
    fn parse(bytes: &[u8]) -> Result<(ProxyHeader, usize), InvalidProxyHeader> {
        for len in 0..=bytes.len() {
            match ProxyHeader::parse(&bytes[..len])? {
                Parsed::Header(header, used) => {
                    assert_eq!(used, len, "all of it is needed");
                    assert_eq!(ProxyHeader::parse(bytes), Ok(Parsed::Header(header, used)), "whole");
                    return Ok((header, used));
                }
                Parsed::More(more) => {
                    assert!(more > 0);
                    // Who reads exactly so much is never given less than a header, nor more.
                    if let Ok(Parsed::Header(_, used)) =
                        ProxyHeader::parse(&bytes[..bytes.len().min(len + more)])
                    {
                        assert_eq!(used, len + more);
                    }
                }
            }
        }
        panic!("never complete: {bytes:?}");
    }

    #[test]
    fn version_1_tells_the_addresses_at_every_split() {
        for (line, client, destination) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "192.0.2.1:56324", "198.51.100.7:443"),
            ("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "[2001:db8::1]:0", "[::1]:65535"),
        ] {
            let (header, used) = parse(format!("{line}GET / HTTP/1.1\r\n").as_bytes()).unwrap();
            assert_eq!(header.client(), Some(client.parse().unwrap()));
            assert_eq!(header.destination(), Some(destination.parse().unwrap()));
            assert_eq!(used, line.len());
        }
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 whatever it says 1 2\r\n"] {
            assert_eq!(parse(line.as_bytes()), Ok((ProxyHeader::default(), line.len())));
        }
    }

    #[test]
    fn version_2_tells_the_addresses_at_every_split() {
        let (header, used) = parse(&v2(1, 0x11, &addresses_v4())).unwrap();
        assert_eq!(header.client(), Some("192.0.2.1:56324".parse().unwrap()));
        assert_eq!(header.destination(), Some("198.51.100.7:443".parse().unwrap()));
        assert_eq!((used, header.is_secure()), (28, false));

        let mut body = vec![0; 36];
        (body[15], body[31], body[33], body[35]) = (1, 2, 3, 4);
        let (header, _) = parse(&v2(1, 0x21, &body)).unwrap();
        assert_eq!(header.client(), Some("[::1]:3".parse().unwrap()));
        assert_eq!(header.destination(), Some("[::2]:4".parse().unwrap()));
    }

    #[test]
    fn local_unspecified_datagram_and_unix_tell_nothing_and_are_no_error() {
        for bytes in [
            v2(0, 0x11, &addresses_v4()),
            v2(0, 0x00, b"whatever a health check says"),
            v2(1, 0x00, b"\xff\xff"),
            v2(1, 0x12, &addresses_v4()),
            v2(1, 0x31, &[b'x'; 216]),
        ] {
            assert_eq!(parse(&bytes).unwrap().0, ProxyHeader::default(), "{bytes:?}");
        }
    }

    #[test]
    fn unknown_fields_are_skipped_and_tls_is_found() {
        let unknown = [&[0xe4, 0, 3][..], b"abc", &[0x04, 0, 0]].concat();
        let tls = [0x20, 0, 5, 0x01, 0, 0, 0, 0];
        let no_tls = [0x20, 0, 5, 0x06, 0, 0, 0, 0];
        for (fields, secure) in [
            (unknown.clone(), false),
            ([unknown.as_slice(), &tls].concat(), true),
            ([&tls[..], &unknown].concat(), true),
            ([unknown.as_slice(), &no_tls].concat(), false),
        ] {
            let (header, _) = parse(&v2(1, 0x11, &[addresses_v4(), fields].concat())).unwrap();
            assert_eq!(header.is_secure(), secure);
            assert!(header.client().is_some());
        }
    }

    #[test]
    fn bad_signatures_end_at_the_first_impossible_byte() {
        for bytes in
            [&b"G"[..], b"proxy TCP4", b"PROXY\tTCP4", b"\r\n\r\n\0\r\nQUIT\r", b"\x16\x03\x01", b"\r\n\r\nG"]
        {
            assert_eq!(ProxyHeader::parse(bytes), Err(InvalidProxyHeader::Signature), "{bytes:?}");
        }
        let version_3 = [SIGNATURE_V2, &[0x31]].concat();
        assert_eq!(ProxyHeader::parse(&version_3), Err(InvalidProxyHeader::Version));
        assert_eq!(parse(&v2(2, 0x11, &addresses_v4())), Err(InvalidProxyHeader::Command));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_arrives() {
        let announced = [SIGNATURE_V2, &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(ProxyHeader::parse(&announced), Err(InvalidProxyHeader::TooLong));
        let longest = v2(1, 0x11, &[addresses_v4(), vec![0; MAX_LEN - 16 - 12]].concat());
        assert!(parse(&longest).is_ok());
        let line = format!("PROXY UNKNOWN {}", "x".repeat(107));
        assert_eq!(ProxyHeader::parse(line.as_bytes()), Err(InvalidProxyHeader::TooLong));
        let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!((line.len(), parse(line.as_bytes()).is_ok()), (107, true));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.7 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 56324 443\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 01 443\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.7 1 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 443\n",
            "PROXY \u{e4}\r\n",
        ] {
            assert_eq!(ProxyHeader::parse(line.as_bytes()), Err(InvalidProxyHeader::Line), "{line:?}");
        }
    }

    #[test]
    fn addresses_and_fields_that_do_not_fit_are_refused() {
        assert_eq!(parse(&v2(1, 0x11, &[0; 11])), Err(InvalidProxyHeader::Addresses));
        assert_eq!(parse(&v2(1, 0x21, &[0; 35])), Err(InvalidProxyHeader::Addresses));
        for field in [&[1][..], &[1, 0], &[1, 0, 1], &[1, 0xff, 0xff, 0]] {
            let body = [addresses_v4(), field.to_vec()].concat();
            assert_eq!(parse(&v2(1, 0x11, &body)), Err(InvalidProxyHeader::Tlv), "{field:?}");
        }
    }
}
