//! The connection: a state machine that takes bytes and time, and gives events and bytes.
//!
//! It knows no socket and no clock. A driver reads into the [`Inbox`], asks [`Connection::receive`] until it gives
//! nothing more, writes what is in the [`Outbox`], and sleeps until [`Connection::deadline`]:
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use ws13::{Config, Connection, Event, Inbox, Outbox, Role};
//! use bytes::Buf;
//!
//! let mut client = Connection::new(Role::Client, Config::default());
//! let mut server = Connection::new(Role::Server, Config::default());
//! let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
//!
//! client.send("hello", &mut outbox).unwrap();
//! while outbox.has_remaining() {
//!     inbox.extend_from_slice(outbox.chunk()); // the network, in this example
//!     outbox.advance(outbox.chunk().len());
//! }
//! match server.receive(&mut inbox, &mut outbox) {
//!     Some(Event::Message(message)) => assert_eq!(message.as_text(), Some("hello")),
//!     other => panic!("{other:?}"),
//! }
//! # }
//! ```
//!
//! There is no `Err` to receive: what the peer does wrong becomes the Close frame that it is owed, in the outbox,
//! and then [`Event::Closed`], which ends every connection exactly once.

mod event;
mod inbox;
mod keepalive;
mod outbox;
mod outgoing;
mod prepared;
mod receiver;
mod sender;
mod stats;
#[cfg(all(test, feature = "std"))]
mod tests;

pub use event::{CloseCause, Closed, Event, ExtendedRef, MessageRef, PartRef};
pub use inbox::{Inbox, LEASE, SHARE_FROM};
pub use outbox::{Outbox, OutboxBuffer};
pub use outgoing::Outgoing;
pub use prepared::{Channel, Prepared};
pub use sender::MaskKeys;
pub use stats::Stats;

use crate::close::CloseFrame;
use crate::error::{Fault, Lost, Misuse};
use crate::extension::Claims;
use crate::frame::OpCode;
use crate::limits::Config;
use crate::message::Kind;
#[cfg(feature = "tokio")]
use crate::message::Message;
use crate::time::Timestamp;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;
use inbox::Place;
use keepalive::{Due, Keepalive};
pub(crate) use receiver::Mode;
use receiver::{Fact, MaskRule, Receiver};
use sender::Sender;

/// Which end of a connection this is; after the handshake only the masking differs, and who ends TCP first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that asked for the connection; it masks its frames.
    Client,
    /// The end that accepted it.
    Server,
}

/// A WebSocket connection after its opening handshake, without input and output.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    receiver: Receiver,
    sender: Sender,
    keepalive: Keepalive,
    transport: Transport,
    /// The peer may send nothing more that counts: its Close frame came, or it was failed.
    receive_closed: bool,
    /// How the connection ends, as soon as that is certain.
    outcome: Option<Box<Closed>>,
    /// [`Event::Closed`] was given out.
    reported: bool,
    /// What was agreed on, as it stands in the header.
    extensions: Option<Box<Box<str>>>,
}

/// The byte stream below, as the driver told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Up,
    /// We have ended our direction.
    ShutDown,
    Gone,
}

impl Connection {
    /// A connection whose keys come from `keys`: with them it is a client's, without them a server's.
    ///
    /// `seed` spreads the times of the pings; any number will do, best a different one for each connection.
    pub fn with_keys(keys: Option<Box<dyn MaskKeys>>, config: impl Into<Arc<Config>>, seed: u64) -> Self {
        let config = config.into();
        let mask = match &keys {
            Some(_) if config.quirks.accept_masked_frames => MaskRule::Any,
            Some(_) => MaskRule::Forbidden,
            None if config.quirks.accept_unmasked_frames => MaskRule::Any,
            None => MaskRule::Required,
        };
        Connection {
            receiver: Receiver::new(mask, &config.limits),
            sender: Sender::new(keys),
            keepalive: Keepalive::new(seed),
            transport: Transport::Up,
            receive_closed: false,
            outcome: None,
            reported: false,
            extensions: None,
            config,
        }
    }

    /// A connection whose masking keys are [`RandomMaskKeys`](crate::RandomMaskKeys).
    #[cfg(feature = "std")]
    pub fn new(role: Role, config: impl Into<Arc<Config>>) -> Self {
        use crate::entropy::{RandomMaskKeys, random_u64};
        let keys = (role == Role::Client).then(|| Box::new(RandomMaskKeys) as Box<dyn MaskKeys>);
        Connection::with_keys(keys, config, random_u64())
    }

    /// Compresses messages, and takes compressed ones, as it was agreed on in the opening handshake; the settings are
    /// those of [`Config::deflate`], or the default.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, agreed: crate::deflate::Agreed) -> Self {
        let (ours, theirs) = match self.role() {
            Role::Client => (Role::Client, Role::Server),
            Role::Server => (Role::Server, Role::Client),
        };
        self.sender.set_deflate(agreed.sent_by(ours));
        self.receiver.set_deflate(agreed.sent_by(theirs));
        self
    }

    /// Takes and sends what extensions of the user's own claim, which were agreed on in the opening handshake.
    #[must_use]
    pub fn with_claims(mut self, claims: Claims) -> Self {
        self.sender.claim(claims);
        self.receiver.claim(claims);
        self
    }

    /// The connection as the opening handshake agreed on it.
    #[cfg(feature = "std")]
    pub(crate) fn agreed(self, agreed: &crate::handshake::Agreed) -> Self {
        let mut connection = self.with_claims(agreed.claims);
        connection.extensions = agreed.extensions.as_deref().map(|agreed| Box::new(agreed.into()));
        #[cfg(feature = "deflate")]
        if let Some(deflate) = agreed.deflate {
            return connection.with_deflate(deflate);
        }
        connection
    }

    /// The extensions that were agreed on in the opening handshake, as the server named them in
    /// `Sec-WebSocket-Extensions`.
    pub fn extensions(&self) -> Option<&str> {
        self.extensions.as_deref().map(|agreed| &**agreed)
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.sender.role()
    }

    /// The settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The next event that the inbox holds, whole messages at a time; `None` when more bytes are needed.
    ///
    /// Answers (Pong, Close) are in the outbox when this returns. After [`Event::Closed`] it always gives `None`.
    #[inline(always)]
    pub fn receive<'a>(&mut self, inbox: &'a mut Inbox, outbox: &mut Outbox) -> Option<Event<'a>> {
        if let Some((kind, place)) = self.short_message(inbox) {
            return Some(Event::Message(MessageRef::new(kind, place, inbox)));
        }
        let fact = self.next_fact(inbox, outbox, Mode::Whole)?;
        Some(self.event(fact, inbox))
    }

    /// The next event that the inbox holds, messages in parts as they arrive: memory stays bounded, whatever the
    /// length of the message; the limits on messages and frames do not apply.
    ///
    /// Once a part of a message was given out, [`receive`](Connection::receive) skips the rest of it.
    pub fn receive_part<'a>(&mut self, inbox: &'a mut Inbox, outbox: &mut Outbox) -> Option<Event<'a>> {
        let fact = self.next_fact(inbox, outbox, Mode::Parts)?;
        Some(self.event(fact, inbox))
    }

    /// The byte stream has ended: no more will arrive.
    pub fn receive_eof(&mut self, outbox: &mut Outbox) {
        self.lose(Lost::Eof, outbox);
    }

    /// Reading or writing failed, or the driver gave the connection up: nothing more will be read or written.
    pub fn lose(&mut self, lost: Lost, outbox: &mut Outbox) {
        self.transport = Transport::Gone;
        self.sender.abandon();
        self.decide(CloseCause::Lost(lost), None);
        outbox.clear();
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`Misuse::Closed`] after a Close frame, [`Misuse::MessageUnfinished`] while another message is written in
    /// parts, [`Misuse::QueueFull`] where the queue is over its cap. Nothing is queued then.
    #[inline(always)] // as a call, an owned message went there and back through memory: 2 % in bulk
    pub fn send<'a>(&mut self, message: impl Into<Outgoing<'a>>, outbox: &mut Outbox) -> Result<(), Misuse> {
        self.sender.message(message.into(), outbox, &self.config)
    }

    /// Begins a message that is sent in parts: each becomes a frame (RFC 6455 section 5.4).
    ///
    /// # Errors
    /// [`Misuse::Closed`], [`Misuse::MessageUnfinished`].
    pub fn begin_message(&mut self, kind: Kind) -> Result<(), Misuse> {
        self.sender.begin(kind)
    }

    /// Queues a part of the message that was begun. Parts of a text need not end at a character, but together they
    /// must be UTF-8.
    ///
    /// # Errors
    /// [`Misuse::Closed`], [`Misuse::NoMessageBegun`], [`Misuse::QueueFull`]. Nothing is queued then. [`Misuse::Utf8`],
    /// too, and a message of which no part was sent is no longer begun.
    pub fn send_part(&mut self, part: &[u8], last: bool, outbox: &mut Outbox) -> Result<(), Misuse> {
        self.sender.part(part, last, outbox, &self.config)
    }

    /// Queues a Ping, ahead of large messages (of 8 KiB and more, a client's of 64 KiB); keepalive sends its own.
    ///
    /// # Errors
    /// [`Misuse::Closed`], [`Misuse::QueueFull`], [`Misuse::ControlPayload`] for more than 125 bytes.
    pub fn ping(&mut self, payload: &[u8], outbox: &mut Outbox) -> Result<(), Misuse> {
        self.sender.control(OpCode::Ping, payload, outbox, &self.config)
    }

    /// Queues an unsolicited Pong, which nobody answers; Pings are answered without it.
    ///
    /// # Errors
    /// [`Misuse::Closed`], [`Misuse::QueueFull`], [`Misuse::ControlPayload`] for more than 125 bytes.
    pub fn pong(&mut self, payload: &[u8], outbox: &mut Outbox) -> Result<(), Misuse> {
        self.sender.control(OpCode::Pong, payload, outbox, &self.config)
    }

    /// Begins the closing handshake: queues a Close frame, with a code and reason or empty. What the peer sent before
    /// its answer is still received. A second call does nothing.
    pub fn close(&mut self, frame: Option<CloseFrame>, outbox: &mut Outbox) {
        match frame {
            Some(frame) => self.sender.close(&frame.encode(), outbox),
            None => self.sender.close(&[], outbox),
        }
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed() && self.outcome.is_none()
    }

    /// How the connection ended, as soon as that is certain.
    pub fn closed(&self) -> Option<&Closed> {
        self.outcome.as_deref()
    }

    /// Whether there is something to write now; a driver asks before each write.
    pub fn wants_write(&mut self, outbox: &mut Outbox) -> bool {
        if self.sender.owes_pong() {
            self.sender.settle_pong(outbox);
        }
        !outbox.is_empty() && self.transport == Transport::Up
    }

    /// Whether the driver should now end its direction of the byte stream (a FIN), and then call
    /// [`shut_down`](Connection::shut_down).
    ///
    /// After a closing handshake the server ends it first ("the server MUST close the TCP connection immediately",
    /// RFC 6455 section 7.1.1); after a fault either side does.
    pub fn wants_shutdown(&self, outbox: &Outbox) -> bool {
        let ours_to_end = match self.outcome.as_deref().map(Closed::cause) {
            Some(CloseCause::Handshake) => self.role() == Role::Server,
            Some(CloseCause::Fault(_)) => true,
            Some(CloseCause::Lost(_)) | None => false,
        };
        ours_to_end && self.transport == Transport::Up && self.sender.is_closed() && outbox.is_empty()
    }

    /// Our direction of the byte stream is ended.
    pub fn shut_down(&mut self) {
        if self.transport == Transport::Up {
            self.transport = Transport::ShutDown;
        }
    }

    /// Whether [`tick`](Connection::tick) should be called: after bytes arrived, and before waiting.
    ///
    /// So that a driver need not look at its clock at every read.
    pub fn wants_time(&self, outbox: &Outbox) -> bool {
        self.keepalive.wants_time(self.sender.is_closed(), outbox, &self.config.keepalive)
    }

    /// The next time at which [`tick`](Connection::tick) must be called.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.transport == Transport::Gone { None } else { self.keepalive.deadline() }
    }

    /// Time has come to `now`: queues a Ping that is due, ends what took too long. Says whether anything was due, so
    /// that there is something to write or an event.
    pub fn tick(&mut self, now: Timestamp, inbox: &Inbox, outbox: &mut Outbox) -> bool {
        let due = self.keepalive.tick(now, self.sender.is_closed(), inbox, outbox, &self.config);
        match due {
            Due::Nothing => {}
            Due::Ping(payload) => {
                // Refused only by a full queue, whose peer is stalled: the stall timeout ends that.
                let _ = self.sender.control(OpCode::Ping, &payload, outbox, &self.config);
            }
            Due::Lost(lost) => self.lose(lost, outbox),
        }
        due != Due::Nothing
    }

    /// Says that bytes may have arrived that the driver has not read: silence is not held against the peer until the
    /// next Ping.
    pub fn excuse_silence(&mut self) {
        self.keepalive.excuse_silence();
    }

    /// The round-trip time of the latest Ping that was answered.
    pub fn round_trip(&self) -> Option<Duration> {
        self.keepalive.round_trip()
    }

    /// What it has done so far.
    pub fn stats(&self, inbox: &Inbox, outbox: &Outbox) -> Stats {
        let (inflated, deflated) = (self.receiver.inflated(), self.sender.deflated());
        Stats {
            messages_received: self.receiver.messages,
            messages_sent: self.sender.messages(),
            bytes_received: inbox.received(),
            bytes_sent: outbox.written(),
            inflated_from: inflated.from,
            inflated_to: inflated.to,
            deflated_from: deflated.from,
            deflated_to: deflated.to,
            queued: outbox.queued(),
            round_trip: self.round_trip(),
        }
    }

    /// The round-trip time of the latest Ping that was answered, the first time that it is asked for.
    #[cfg(feature = "std")]
    pub(crate) fn new_round_trip(&mut self) -> Option<Duration> {
        self.keepalive.new_round_trip()
    }

    /// Whether the end was given out.
    #[cfg(feature = "std")]
    pub(crate) fn has_ended(&self) -> bool {
        self.reported
    }

    /// The next fact, where it is a short message that is all here.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn short_fact(&mut self, inbox: &mut Inbox, mode: Mode) -> Option<FactOrEnd> {
        if mode != Mode::Whole {
            return None;
        }
        let (kind, place) = self.short_message(inbox)?;
        Some(FactOrEnd::Fact(Fact::Message { kind, place }))
    }

    /// The next message for keeps, where it is small and all here.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn next_small_message(&mut self, inbox: &mut Inbox) -> Option<Message> {
        if self.takes_messages() { self.receiver.small_message(inbox) } else { None }
    }

    /// Whether there is nothing to be told before more bytes arrive: all that did is handled, up to the end of a frame.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn awaits_frame(&self, inbox: &Inbox) -> bool {
        inbox.is_empty() && !self.receive_closed && self.outcome.is_none() && self.receiver.awaits_frame()
    }

    #[inline(always)]
    fn short_message(&mut self, inbox: &mut Inbox) -> Option<(Kind, Place)> {
        if self.takes_messages() { self.receiver.short_message(inbox) } else { None }
    }

    #[inline(always)]
    fn takes_messages(&self) -> bool {
        !self.receive_closed && !self.reported
    }

    /// As `receive`, but tells where the payload stands instead of lending it. `short_fact` gives the same, and sooner,
    /// where a short message is next.
    pub(crate) fn next_fact(
        &mut self,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
        mode: Mode,
    ) -> Option<FactOrEnd> {
        if self.reported {
            return None;
        }
        // Also when the stream has ended: what arrived before its end is handled all the same.
        while !self.receive_closed {
            match self.receiver.next(inbox, mode, &self.config.limits) {
                Ok(None) => break,
                Ok(Some(fact @ (Fact::Message { .. } | Fact::Part { .. }))) => {
                    let ends = !matches!(fact, Fact::Part { last: false, .. });
                    self.receiver.messages += u64::from(ends);
                    return Some(FactOrEnd::Fact(fact));
                }
                Ok(Some(fact @ Fact::Extended { opcode, .. })) if !opcode.is_control() => {
                    return Some(FactOrEnd::Fact(fact));
                }
                Ok(Some(fact)) => match self.control(fact, inbox, outbox) {
                    Ok(true) => return Some(FactOrEnd::Fact(fact)),
                    Ok(false) => break,
                    Err(fault) => self.fail(fault, outbox),
                },
                Err(fault) => self.fail(fault, outbox),
            }
        }
        if self.receive_closed {
            // "Data received after a Close frame is discarded" (1.4).
            inbox.clear();
        }
        self.end()
    }

    /// As [`receive`](Connection::receive), with the means to answer while the event is lent.
    #[inline]
    pub fn receive_with_output<'a>(
        &'a mut self,
        inbox: &'a mut Inbox,
        outbox: &'a mut Outbox,
    ) -> Option<(Event<'a>, Output<'a>)> {
        let event = self.receive(inbox, outbox)?;
        Some((event, Output { sender: &mut self.sender, outbox, config: &self.config }))
    }

    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn event_and_output<'a>(
        &'a mut self,
        fact: FactOrEnd,
        inbox: &'a mut Inbox,
        outbox: &'a mut Outbox,
    ) -> (Event<'a>, Output<'a>) {
        let event = self.event(fact, inbox);
        (event, Output { sender: &mut self.sender, outbox, config: &self.config })
    }

    /// The fact with its payload, borrowed.
    #[inline(always)]
    pub(crate) fn event<'a>(&self, fact: FactOrEnd, inbox: &'a mut Inbox) -> Event<'a> {
        match (fact, &self.outcome) {
            (FactOrEnd::Fact(Fact::Message { kind, place }), _) => {
                Event::Message(MessageRef::new(kind, place, inbox))
            }
            (FactOrEnd::Fact(Fact::Part { kind, place, first, last }), _) => {
                Event::Part(PartRef { kind, bytes: inbox.at(place), first, last })
            }
            (FactOrEnd::Fact(Fact::Extended { opcode, rsv, place }), _) => {
                Event::Extended(ExtendedRef { opcode, rsv, bytes: inbox.at(place) })
            }
            (FactOrEnd::Fact(Fact::Ping(place)), _) => Event::Ping(inbox.at(place)),
            (FactOrEnd::Fact(Fact::Pong(place)), _) => Event::Pong(inbox.at(place)),
            (FactOrEnd::End | FactOrEnd::Fact(Fact::Close(_)), Some(outcome)) => {
                Event::Closed(outcome.clone())
            }
            // Never: a Close is no event of its own, and the end comes with its outcome.
            (FactOrEnd::End | FactOrEnd::Fact(Fact::Close(_)), None) => {
                Event::Closed(Box::new(Closed::new(CloseCause::Lost(Lost::Aborted), None)))
            }
        }
    }

    /// Handles a control frame; says whether the user is told of it.
    fn control(&mut self, fact: Fact, inbox: &Inbox, outbox: &mut Outbox) -> Result<bool, Fault> {
        if !matches!(fact, Fact::Close(_)) {
            self.keepalive.count_control(self.config.limits.max_control_frames)?;
        }
        match fact {
            Fact::Ping(place) => self.sender.pong(inbox.at(place), outbox),
            Fact::Pong(place) => self.keepalive.pong(inbox.at(place)),
            Fact::Close(place) => {
                let frame = CloseFrame::decode(inbox.at(place))?;
                self.closed_by_peer(frame, outbox);
                return Ok(false);
            }
            Fact::Message { .. } | Fact::Part { .. } | Fact::Extended { .. } => {}
        }
        Ok(true)
    }

    /// "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a
    /// Close frame in response … typically echos the status code it received." (5.5.1) The reason goes along: it is
    /// what a browser shows to its page.
    fn closed_by_peer(&mut self, frame: Option<CloseFrame>, outbox: &mut Outbox) {
        self.receive_closed = true;
        self.receiver.forget();
        self.close(frame.clone(), outbox);
        self.decide(CloseCause::Handshake, frame);
    }

    /// _Fail the WebSocket Connection_ (7.1.7): "SHOULD send a Close frame with an appropriate status code".
    fn fail(&mut self, fault: Fault, outbox: &mut Outbox) {
        self.receive_closed = true;
        self.receiver.forget();
        self.close(Some(fault.close_code().into()), outbox);
        self.decide(CloseCause::Fault(fault), None);
    }

    /// The first cause stands. What arrived before the stream ended comes first, also where its end was told before
    /// that was handled.
    fn decide(&mut self, cause: CloseCause, received: Option<CloseFrame>) {
        let stream = |cause| matches!(cause, CloseCause::Lost(Lost::Eof | Lost::Transport));
        match self.outcome.as_deref().map(Closed::cause) {
            Some(first) if !stream(first) || matches!(cause, CloseCause::Lost(_)) => {}
            _ => self.outcome = Some(Box::new(Closed::new(cause, received))),
        }
    }

    /// The end, once, when there is nothing left to do.
    fn end(&mut self) -> Option<FactOrEnd> {
        let outcome = self.outcome.as_deref()?;
        let over = match self.transport {
            Transport::Gone => true,
            Transport::ShutDown => outcome.is_clean() && self.role() == Role::Server,
            Transport::Up => false,
        };
        if !over || self.reported {
            return None;
        }
        self.reported = true;
        Some(FactOrEnd::End)
    }
}

/// Sends replies while an event is lent: queues them, and never waits.
#[derive(Debug)]
pub struct Output<'a> {
    sender: &'a mut Sender,
    outbox: &'a mut Outbox,
    config: &'a Config,
}

impl Output<'_> {
    /// Queues a message; a server's large lent one goes out from where it stands, without a copy.
    ///
    /// # Errors
    /// As [`Connection::send`].
    #[inline(always)]
    pub fn send<'m>(&mut self, message: impl Into<Outgoing<'m>>) -> Result<(), Misuse> {
        self.sender.message(message.into(), self.outbox, self.config)
    }

    /// Bytes that are queued.
    pub fn queued(&self) -> usize {
        self.outbox.queued()
    }
}

/// What a driver holds on to while it cannot hold a borrow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FactOrEnd {
    Fact(Fact),
    End,
}
