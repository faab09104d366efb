//! What the load generator, the runner and the echo servers share.

pub mod args;
pub mod cork;
pub mod dialogue;
pub mod epoll;
pub mod frames;
pub mod poll;
pub mod process;
pub mod readme;
pub mod ring;
pub mod scenario;
pub mod serve;
pub mod stats;
pub mod stock;
pub mod upgrade;
