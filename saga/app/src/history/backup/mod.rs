//! `sagalog log backup` and `sagalog log restore`: a log as one file, and a log made from it.

mod file;
mod make;
mod restore;
mod stand_still;

pub(super) use self::{make::Args as Backup, restore::Args as Restore};
pub(super) use self::{make::run as backup, restore::run as restore};
