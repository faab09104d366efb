//! `ws13 serve broadcast`: what one says goes to all the others.

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
    pub(super) async fn member(self, socket: WebSocket<Stream>) -> Result<(), Error> {
        let (sender, mut receiver) = socket.split();
        let member = self.0.subscribe(&sender);
        while let Some(message) = receiver.receive().await? {
            self.0.send_to_others(&member, message);
        }
        Ok(())
    }
}
