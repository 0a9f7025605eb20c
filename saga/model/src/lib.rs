//! The nouns of Sagalog: definitions, steps, policies, events, commands, replies.
//!
//! No clock, no randomness, no I/O: time and ids are arguments.
#![no_std]
extern crate alloc;

pub mod log;
