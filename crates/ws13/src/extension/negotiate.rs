//! Extensions of one's own: how they are agreed on.

use super::{Claims, Extension};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// An extension that is not one of this crate: put into [`Config::extensions`](crate::Config::extensions), it is offered
/// by clients and accepted by servers. Once it is agreed on, what it [claims](Claims) can be sent
/// ([`Outgoing::extended`](crate::Outgoing::extended)) and is received
/// ([`Event::Extended`](crate::Event::Extended)); without that it is the fault that it always was. Only the opening
/// handshake calls these methods: a connection keeps no more than what is claimed, so that one without extensions pays
/// nothing.
pub trait Negotiate: fmt::Debug + Send + Sync {
    /// The registered name, a token (RFC 6455 section 9.1).
    fn name(&self) -> &str;

    /// What it claims where it is agreed on.
    fn claims(&self) -> Claims;

    /// What a client offers, the most wanted first; each by the extension's [name](Negotiate::name).
    fn offer(&self) -> Vec<Extension<'_>> {
        vec![Extension::new(self.name())]
    }

    /// What a server answers to an offer; `None` declines it. The first that is not declined holds.
    fn answer<'a>(&'a self, offer: &Extension<'a>) -> Option<Extension<'a>>;

    /// Whether a client takes the server's answer; otherwise it fails the connection.
    fn check(&self, answer: &Extension<'_>) -> bool;
}

/// What a client offers: all of its extensions.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "for the handshake"))]
pub(crate) fn offers(own: &[Arc<dyn Negotiate>]) -> Vec<String> {
    own.iter().flat_map(|one| one.offer()).map(|offer| offer.to_string()).collect()
}

/// What a server answers to the offers, and what is claimed then. `taken` is claimed already: an extension that claims
/// the same is declined.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "for the handshake"))]
pub(crate) fn answers(
    own: &[Arc<dyn Negotiate>],
    offers: &[Extension<'_>],
    mut taken: Claims,
) -> Vec<(String, Claims)> {
    let mut answers = Vec::new();
    for one in own {
        let mut named = offers.iter().filter(|offer| offer.name == one.name());
        let answer = named.find_map(|offer| one.answer(offer));
        if let Some(answer) = answer.filter(|_| !one.claims().overlaps(taken)) {
            taken = taken.union(one.claims());
            answers.push((answer.to_string(), one.claims()));
        }
    }
    answers
}

/// What is claimed by the extensions of a server's answer, as a client reads it.
///
/// # Errors
/// The name of an extension that is answered in a way that does not fit, twice, or together with another one that
/// claims the same.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "for the handshake"))]
pub(crate) fn check(
    own: &[Arc<dyn Negotiate>],
    answer: &[Extension<'_>],
    mut taken: Claims,
) -> Result<Claims, String> {
    let mut claims = Claims::NONE;
    for one in own {
        let mut named = answer.iter().filter(|answer| answer.name == one.name());
        let Some(answer) = named.next() else { continue };
        if named.next().is_some() || one.claims().overlaps(taken) || !one.check(answer) {
            return Err(one.name().to_string());
        }
        claims = claims.union(one.claims());
        taken = taken.union(one.claims());
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::parse;
    use crate::frame::Rsv;

    #[derive(Debug)]
    struct Named(&'static str, Claims);

    impl Negotiate for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn claims(&self) -> Claims {
            self.1
        }

        fn answer<'a>(&'a self, _: &Extension<'a>) -> Option<Extension<'a>> {
            Some(Extension::new(self.0))
        }

        fn check(&self, _: &Extension<'_>) -> bool {
            true
        }
    }

    fn named(all: &[(&'static str, Rsv)]) -> Vec<Arc<dyn Negotiate>> {
        let all = all.iter().map(|&(name, bits)| Arc::new(Named(name, Claims::NONE.bits(bits))) as _);
        all.collect()
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn a_client_fails_when_compression_and_another_extension_claim_the_same_rfc_7692_6() {
        let own = named(&[("one", Rsv::RSV1), ("two", Rsv::RSV2)]);
        let check = |answer, taken| check(&own, &parse(answer).unwrap(), taken);
        assert_eq!(check("one", Claims::DEFLATE), Err("one".to_string()));
        assert!(check("one", Claims::NONE).is_ok() && check("two", Claims::DEFLATE).is_ok());
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn a_server_declines_what_claims_the_same_as_compression_rfc_7692_6() {
        let own = named(&[("one", Rsv::RSV1), ("two", Rsv::RSV2)]);
        let offers = parse("one, two").unwrap();
        let names =
            |taken| answers(&own, &offers, taken).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Claims::DEFLATE), ["two"]);
        assert_eq!(names(Claims::NONE), ["one", "two"]);
    }

    #[test]
    fn a_client_fails_on_two_that_claim_the_same_and_on_one_twice() {
        let own = named(&[("one", Rsv::RSV2), ("two", Rsv::RSV2)]);
        let check = |answer| check(&own, &parse(answer).unwrap(), Claims::NONE);
        assert_eq!(check("two, one"), Err("two".to_string()));
        assert_eq!(check("one, one"), Err("one".to_string()));
        assert!(check("two").is_ok());
    }
}
