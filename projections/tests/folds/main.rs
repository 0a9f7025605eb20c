//! What histories add up to, and which are none. The histories are written by hand: the folds depend
//! on no engine, and must refuse what an engine would never decide.

mod held;
mod ids;
mod illegal;
mod numbered;
mod prefixes;
mod timers;
mod trip;
mod undoing;
mod views;
mod why;
