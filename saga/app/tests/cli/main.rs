//! The program from outside: what it prints, what it exits with, and whom it reaches.

mod agency;
mod postgres;
mod program;

mod dlq;
mod export;
mod held;
mod list;
mod log;
mod node;
mod operate;
mod participant;
mod request;

mod show;
mod usage;
mod why;
