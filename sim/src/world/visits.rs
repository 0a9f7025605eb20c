//! How often a run came to each of its places.

use crate::site::{Point, Subject};

/// About as many places of a kind as a small saga comes to: room for them is made at once.
const PLACES: usize = 8;

/// The visits of each place, by saga. A saga has few places of a kind, so looking through them is
/// faster than any map.
#[derive(Clone, Default)]
pub(super) struct Visits {
    of_sagas: Vec<[Vec<(Subject, u32)>; Point::ALL.len()]>,
}

impl Visits {
    /// One more visit of a place; which one it is, from 1.
    pub(super) fn count(&mut self, saga: u32, point: Point, subject: &Subject) -> u32 {
        let saga = saga as usize;
        if self.of_sagas.len() <= saga {
            self.of_sagas.resize_with(saga + 1, Default::default);
        }
        let visits = &mut self.of_sagas[saga][point as usize];
        // What comes again comes soon again.
        let again = visits.iter_mut().rev().find(|(place, _)| place == subject);
        match again {
            Some((_, nth)) => {
                *nth += 1;
                *nth
            }
            None => {
                if visits.is_empty() {
                    visits.reserve(PLACES);
                }
                visits.push((subject.clone(), 1));
                1
            }
        }
    }
}
