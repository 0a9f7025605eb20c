//! A bulkhead: so much is under way at a participant, and no more; the rest waits in order.

use alloc::collections::VecDeque;

use super::Class;

/// How much may be under way at a participant, and wait for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BulkheadPolicy {
    permits: u32,
    reserved: u32,
    waiting: usize,
}

impl BulkheadPolicy {
    /// 512 permits, 64 of them for what settles; 20,000 commands may wait.
    pub const DEFAULT: Self = Self {
        permits: 512,
        reserved: 64,
        waiting: 20_000,
    };

    /// So many commands may be under way, this many of them reserved for what [settles](Class::Settles).
    ///
    /// # Panics
    /// If nothing is left for what begins.
    #[must_use]
    pub const fn permits(mut self, permits: u32, reserved: u32) -> Self {
        assert!(permits > reserved, "some permits are for what begins");
        self.permits = permits;
        self.reserved = reserved;
        self
    }

    /// From how many waiting commands on no saga is started that needs the participant. Those under
    /// way go on, so more may wait: what live sagas ask.
    #[must_use]
    pub const fn waiting(mut self, waiting: usize) -> Self {
        self.waiting = waiting;
        self
    }
}

impl BulkheadPolicy {
    pub(super) const fn permits_and_of_begins(self) -> (u32, u32) {
        (self.permits, self.permits - self.reserved)
    }
}

/// What is under way at a participant, and what waits for it.
#[derive(Clone, Debug)]
pub struct Bulkhead<T> {
    policy: BulkheadPolicy,
    under_way: [u32; 2],
    waiting: [VecDeque<T>; 2],
}

impl<T> Bulkhead<T> {
    /// With nothing under way.
    pub const fn new(policy: BulkheadPolicy) -> Self {
        Self {
            policy,
            under_way: [0; 2],
            waiting: [VecDeque::new(), VecDeque::new()],
        }
    }

    /// Whether there is a permit for a command of this class.
    pub const fn has_room(&self, class: Class) -> bool {
        let [begins, settles] = self.under_way;
        let BulkheadPolicy {
            permits, reserved, ..
        } = self.policy;
        begins + settles < permits
            && match class {
                Class::Begins => begins < permits - reserved,
                Class::Settles => true,
            }
    }

    /// Takes a permit that [`Self::has_room`] says is there.
    pub const fn take(&mut self, class: Class) {
        self.under_way[class as usize] += 1;
    }

    /// Gives a permit back.
    pub const fn give_back(&mut self, class: Class) {
        self.under_way[class as usize] -= 1;
    }

    /// Puts a command behind those of its class that wait.
    pub fn wait(&mut self, class: Class, command: T) {
        self.waiting[class as usize].push_back(command);
    }

    /// The command of this class that waits for the longest.
    pub fn next(&mut self, class: Class) -> Option<T> {
        self.waiting[class as usize].pop_front()
    }

    /// Forgets what need not wait any more.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for waiting in &mut self.waiting {
            waiting.retain(&mut keep);
        }
    }

    /// How many commands of this class are under way.
    pub const fn under_way(&self, class: Class) -> u32 {
        self.under_way[class as usize]
    }

    /// How many commands of this class wait.
    pub fn waiting(&self, class: Class) -> usize {
        self.waiting[class as usize].len()
    }

    /// The bound of what waits, if it is reached.
    pub fn is_full(&self) -> Option<usize> {
        let waiting: usize = self.waiting.iter().map(VecDeque::len).sum();
        (waiting >= self.policy.waiting).then_some(self.policy.waiting)
    }

    /// How many permits there are.
    pub const fn permits(&self) -> u32 {
        self.policy.permits
    }
}
