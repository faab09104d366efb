//! `ws13 serve broadcast`: what one says goes to all the others.

use super::tally::Tally;
use ws13::{Broadcast, Config, Error, Stream, WebSocket};

/// All who are connected.
#[derive(Clone)]
pub(super) struct Room(Broadcast<Stream>);

impl Room {
    /// Nobody waits for a slow member: it is closed with 1013, and the others go on.
    pub(super) fn new(config: &Config) -> Self {
        Room(Broadcast::new(config))
    }

    /// Passes on what one member says, as long as it is connected.
    pub(super) async fn member(self, mut socket: WebSocket<Stream>, tally: Tally) -> Result<(), Error> {
        let mut tally = socket.extensions().map(|_| tally.connection());
        let (sender, mut receiver) = socket.split();
        let member = self.0.subscribe(&sender);
        while let Some(message) = receiver.receive().await? {
            if let Some(tally) = &mut tally {
                // What others say to this one is counted at the next word of its own.
                tally.messages(message.len());
                tally.wire(receiver.bytes_read());
            }
            self.0.send_to_others(&member, message);
        }
        Ok(())
    }
}
