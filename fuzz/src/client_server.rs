//! A client against a server over the simulated network: the input makes the choices that a seed makes elsewhere.

use crate::sim::dice::Dice;

pub fn check(data: &[u8]) {
    crate::sim::run(&mut Dice::scripted(data));
}
