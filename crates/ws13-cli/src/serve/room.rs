//! `ws13 serve broadcast`: what one says goes to all the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ws13::{CloseCode, Error, Message, Misuse, Sender, Stream, WebSocket};

/// All who are connected.
#[derive(Default)]
pub(super) struct Room(Mutex<Members>);

#[derive(Default)]
struct Members {
    next: u64,
    senders: HashMap<u64, Sender<Stream>>,
}

impl Room {
    /// Passes on what one member says, as long as it is connected.
    pub(super) async fn member(self: Arc<Self>, socket: WebSocket<Stream>) -> Result<(), Error> {
        let (sender, mut receiver) = socket.split();
        let key = self.enter(sender);
        let _leave = Leave { room: &self, key };
        while let Some(message) = receiver.receive().await? {
            self.pass_on(key, &message);
        }
        Ok(())
    }

    /// Nobody waits for a slow member: one whose queue is full is closed with 1013, and the others go on.
    fn pass_on(&self, from: u64, message: &Message) {
        for sender in self.others(from) {
            if let Err(Error::Misuse(Misuse::QueueFull)) = sender.try_send(message) {
                // The reason is short enough.
                let _ = sender.start_close(CloseCode::TRY_AGAIN_LATER, "too slow for what the others say");
            }
        }
    }

    fn enter(&self, sender: Sender<Stream>) -> u64 {
        let mut members = self.lock();
        members.next += 1;
        let key = members.next;
        members.senders.insert(key, sender);
        key
    }

    fn others(&self, key: u64) -> Vec<Sender<Stream>> {
        let members = self.lock();
        members.senders.iter().filter(|(other, _)| **other != key).map(|(_, sender)| sender.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a member out of the room, however its connection ends.
struct Leave<'a> {
    room: &'a Room,
    key: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.room.lock().senders.remove(&self.key);
    }
}
