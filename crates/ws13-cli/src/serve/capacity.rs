//! How many `ws13 serve` takes, and how it stops.

use crate::values;
use clap::Args;
use std::time::Duration;
use ws13::Server;

#[derive(Args)]
pub(super) struct Capacity {
    /// Connections at the same time; by default nine tenths of the file descriptors that the system grants
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Connections from one address; by default 256, and any number from this machine
    #[arg(long, value_name = "N")]
    max_per_address: Option<usize>,
    /// How long connections have to close when it is stopped, such as 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    drain: Duration,
    /// When it is stopped, close its connections one after the other within this time, so that clients do not all come
    /// back at once
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    drain_spread: Duration,
}

impl Capacity {
    pub(super) fn apply(&self, mut server: Server) -> Server {
        if let Some(most) = self.max_connections {
            server = server.max_connections(most);
        }
        if let Some(most) = self.max_per_address {
            server = server.max_per_address(most);
        }
        server.drain_timeout(self.drain).drain_spread(self.drain_spread)
    }
}
