//! The extension `x-checksum`: a text with RSV2 set ends in four bytes of checksum, and a control frame with the opcode 11
//! tells the other side how many have come through.

use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use ws13::extension::{self, Claims, Extension, Negotiate};
use ws13::frame::{OpCode, Rsv};
use ws13::{CloseCode, Error, Event, Lent, Outgoing, WebSocket};

const NAME: &str = "x-checksum";
/// The parameter that names the sum, and the one that we know.
const SUM: &str = "sum";
const FNV1A: &str = "fnv1a";

const RECEIPT: OpCode = OpCode::Reserved11;

/// How it is agreed on: both sides put it into `Config::extensions`.
#[derive(Debug)]
pub struct Checksum;

impl Negotiate for Checksum {
    fn name(&self) -> &str {
        NAME
    }

    fn claims(&self) -> Claims {
        Claims::NONE.bits(Rsv::RSV2).opcode(RECEIPT)
    }

    fn offer(&self) -> Vec<Extension<'_>> {
        vec![Extension::new(NAME).with(SUM, FNV1A)]
    }

    fn answer<'a>(&'a self, offer: &Extension<'a>) -> Option<Extension<'a>> {
        self.check(offer).then(|| offer.clone())
    }

    fn check(&self, answer: &Extension<'_>) -> bool {
        match &answer.parameters[..] {
            [sum] => sum.name == SUM && sum.value.as_deref() == Some(FNV1A),
            _ => false,
        }
    }
}

/// A socket on which every text has a checksum.
pub struct Checked<S> {
    socket: WebSocket<S>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    received: u64,
    receipts: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Checked<S> {
    /// `None` where the extension was not agreed on.
    pub fn new(mut socket: WebSocket<S>) -> Option<Self> {
        let agreed = socket.extensions().unwrap_or_default();
        let agreed = extension::parse(&agreed).ok()?.iter().any(|extension| extension.name == NAME);
        agreed.then_some(Checked { socket, counts: Counts::default() })
    }

    pub async fn send(&mut self, text: &str) -> Result<(), Error> {
        let mut payload = text.as_bytes().to_vec();
        payload.extend_from_slice(&fnv1a(text.as_bytes()).to_be_bytes());
        self.socket.send(Outgoing::extended(OpCode::Text, Rsv::RSV2, &payload)).await
    }

    /// The next text, its sum checked; a receipt goes back.
    pub async fn receive(&mut self) -> Result<Option<String>, Error> {
        loop {
            let came = match self.socket.receive_ref().await? {
                Some(mut lent) => self.counts.take(&mut lent),
                None => return Ok(None),
            };
            match came {
                Ok(Some(text)) => return Ok(Some(text)),
                Ok(None) => {}
                Err(error) => {
                    self.socket.close(CloseCode::INVALID_PAYLOAD, "the checksum is wrong").await?;
                    return Err(error);
                }
            }
        }
    }

    /// How many of our texts the other side says have come through.
    pub fn receipts(&self) -> u64 {
        self.counts.receipts
    }

    pub async fn close(mut self) -> Result<(), Error> {
        self.socket.close(CloseCode::NORMAL, "").await
    }
}

impl Counts {
    /// Takes one event; what else is here already is lent again.
    fn take<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        lent: &mut Lent<'_, S>,
    ) -> Result<Option<String>, Error> {
        let Some((Event::Extended(came), mut output)) = lent.next_event() else { return Ok(None) };
        if came.opcode == RECEIPT {
            let count = came.bytes.try_into().map_err(|_| broken("eight bytes of a number"))?;
            self.receipts = u64::from_be_bytes(count);
            return Ok(None);
        }
        let text = verified(came.bytes)?;
        self.received += 1;
        output.send(Outgoing::extended(RECEIPT, Rsv::NONE, &self.received.to_be_bytes()))?;
        Ok(Some(text))
    }
}

/// The text without its sum.
fn verified(payload: &[u8]) -> Result<String, Error> {
    let (text, sum) = payload.split_last_chunk::<4>().ok_or_else(|| broken("four bytes of checksum"))?;
    if fnv1a(text) != u32::from_be_bytes(*sum) {
        return Err(broken("the right checksum"));
    }
    String::from_utf8(text.to_vec()).map_err(|_| broken("UTF-8"))
}

fn broken(missing: &str) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::InvalidData, format!("{NAME}: the peer's frame lacks {missing}")))
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
