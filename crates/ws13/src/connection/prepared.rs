//! Messages that are framed once, and compressed as few times as can be, for any number of connections.

use super::outgoing::{Outgoing, Payload, Special};
use crate::frame::{Header, Rsv};
use crate::limits::Config;
use crate::message::Kind;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

#[cfg(feature = "deflate")]
use crate::deflate::{Common, Tail};

/// A message for many connections: framed once, shared by reference count, and compressed once for all who can take the
/// same bytes. Anything that sends takes a reference to it:
///
/// ```
/// # #[cfg(feature = "std")] {
/// use ws13::{Channel, Config, Connection, Outbox, Role};
///
/// let config = Config::default();
/// let mut channel = Channel::new(&config);
/// let prepared = channel.prepare("news");
/// for _ in 0..3 {
///     let (mut server, mut outbox) = (Connection::new(Role::Server, config.clone()), Outbox::new());
///     server.send(&prepared, &mut outbox).unwrap();
///     assert_eq!(outbox.queued(), 2 + "news".len());
/// }
/// # }
/// ```
///
/// A client masks each frame with a key of its own (RFC 6455 section 5.3), so there it is sent as any other message is;
/// so it is where messages are cut into fragments.
#[derive(Clone)]
pub struct Prepared(Arc<Inner>);

struct Inner {
    kind: Kind,
    header_len: usize,
    /// The unmasked frame that is not compressed: the message stands behind its header.
    frame: Bytes,
    #[cfg(feature = "deflate")]
    common: Option<Arc<Common>>,
}

impl Prepared {
    /// A message that does not belong to a channel: it is compressed without a dictionary, by the default settings.
    pub fn new<'a>(message: impl Into<Outgoing<'a>>) -> Prepared {
        let mut alone = Channel {
            #[cfg(feature = "deflate")]
            tail: Some(Tail::new(crate::Deflate::default())),
        };
        alone.prepare(message)
    }

    /// Whether the message is text or bytes.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.frame[self.0.header_len..]
    }

    /// How often it has been compressed so far: at most four times, whoever the receivers are.
    #[cfg(feature = "deflate")]
    pub fn compressions(&self) -> usize {
        self.0.common.as_ref().map_or(0, |common| common.compressions())
    }

    /// The message, shared.
    pub(super) fn bytes(&self) -> Bytes {
        self.0.frame.slice(self.0.header_len..)
    }

    /// The frame that is not compressed.
    pub(super) fn frame(&self) -> &Bytes {
        &self.0.frame
    }

    /// How it is compressed, where it is.
    #[cfg(feature = "deflate")]
    pub(super) fn common(&self) -> Option<&Arc<Common>> {
        self.0.common.as_ref()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("kind", &self.kind()).field("len", &self.as_bytes().len()).finish()
    }
}

/// A row of messages that go to the same connections: what is compressed refers back to those before it.
///
/// Each connection knows how much of what it was last sent came from this channel without a gap; those for which that
/// reaches equally far share one compression, so that there are at most four of any message, whatever else the
/// connections were sent between them. A new connection joins at any time.
pub struct Channel {
    #[cfg(feature = "deflate")]
    tail: Option<Tail>,
}

impl Channel {
    /// A channel that compresses as [`Config::deflate`] says for connections that agreed on it; not at all where that is
    /// `None`.
    #[cfg_attr(not(feature = "deflate"), allow(unused_variables, reason = "how to compress"))]
    pub fn new(config: &Config) -> Channel {
        Channel {
            #[cfg(feature = "deflate")]
            tail: config.deflate.clone().map(Tail::new),
        }
    }

    /// Prepares the next message. Best sent to all its receivers before the one after it: a connection that leaves one
    /// out begins again with an empty dictionary.
    ///
    /// What is prepared already stays what it is. What should not be compressed
    /// ([`Outgoing::uncompressed`], with the feature `deflate`) is none of the row.
    pub fn prepare<'a>(&mut self, message: impl Into<Outgoing<'a>>) -> Prepared {
        let message = message.into();
        if let Payload::Special(Special::Prepared(prepared)) = message.payload {
            return prepared.clone();
        }
        let frame = encode(message.kind, Rsv::NONE, message.payload.as_slice());
        let header_len = frame.len() - message.payload.as_slice().len();
        #[cfg(feature = "deflate")]
        let common = self
            .tail
            .as_mut()
            .filter(|_| message.compress)
            .and_then(|tail| tail.prepare(&frame.slice(header_len..)));
        Prepared(Arc::new(Inner {
            kind: message.kind,
            header_len,
            frame,
            #[cfg(feature = "deflate")]
            common,
        }))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// A server's frame: it has no mask.
pub(super) fn encode(kind: Kind, rsv: Rsv, payload: &[u8]) -> Bytes {
    let header =
        Header { fin: true, rsv, opcode: kind.opcode(), mask: None, payload_len: payload.len() as u64 };
    let header = header.encode();
    let mut frame = Vec::with_capacity(header.len() + payload.len());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    frame.into()
}
