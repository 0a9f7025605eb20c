//! Which partitions a process gives up, and which it tries to take, so that all processes that share
//! a log have as many.

use sagalog_eventlog::Sharer;
use sagalog_model::log::PartitionId;

/// What to do next.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Balance {
    /// Owned, and more than the share.
    pub(crate) give: Vec<PartitionId>,
    /// Owned by nobody that lives, and missing from the share.
    pub(crate) take: Vec<PartitionId>,
}

/// What the process that is `me` among those that live should do.
///
/// Shares differ by one at most; the larger ones are of those that have most already, so that nothing
/// moves without need. Processes that see the same come to shares that fit together; if they do not,
/// two may ask for one partition, and one of them finds it taken.
pub(crate) fn balance(alive: &[&Sharer], partitions: u32) -> Balance {
    let mut order: Vec<_> = alive.to_vec();
    order.sort_by(|a, b| (b.owns.len(), &a.id).cmp(&(a.owns.len(), &b.id)));
    let Some(place) = order.iter().position(|sharer| sharer.is_me) else {
        return Balance::default();
    };
    let (count, all) = (order.len(), partitions as usize);
    let share = all / count + usize::from(place < all % count);
    let mine = &order[place].owns;
    if mine.len() >= share {
        return Balance {
            give: mine[share..].to_vec(),
            take: Vec::new(),
        };
    }
    let owned =
        |partition: &PartitionId| order.iter().any(|sharer| sharer.owns.contains(partition));
    // Each begins to look elsewhere, so that two seldom ask for one.
    let first = place * all / count;
    let numbers = (0..all).map(|step| ((first + step) % all) as u32);
    Balance {
        give: Vec::new(),
        take: numbers
            .map(PartitionId::new)
            .filter(|partition| !owned(partition))
            .take(share - mine.len())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use sagalog_eventlog::Holder;

    use super::*;

    fn sharer(id: &str, owns: &[u32]) -> Sharer {
        Sharer {
            id: id.to_owned(),
            holder: Holder::Unknown,
            sign: 1,
            owns: owns.iter().copied().map(PartitionId::new).collect(),
            is_me: false,
        }
    }

    /// What each does, one after the other, until nobody does anything.
    fn settle(mut sharers: Vec<Sharer>, partitions: u32) -> (Vec<Sharer>, usize) {
        let mut moves = 0;
        for _ in 0..100 {
            let before = moves;
            for me in 0..sharers.len() {
                let mut seen = sharers.clone();
                seen[me].is_me = true;
                let Balance { give, take } = balance(&seen.iter().collect::<Vec<_>>(), partitions);
                moves += give.len() + take.len();
                let owns = &mut sharers[me].owns;
                owns.retain(|partition| !give.contains(partition));
                owns.extend(take);
                owns.sort_unstable();
            }
            if moves == before {
                return (sharers, moves);
            }
        }
        panic!("it does not settle: {sharers:?}");
    }

    #[test]
    fn the_only_one_takes_everything() {
        let (settled, _) = settle(vec![sharer("a", &[])], 4);
        assert_eq!(settled[0].owns, sharer("a", &[0, 1, 2, 3]).owns);
    }

    #[test]
    fn one_that_joins_gets_its_share_and_nothing_else_moves() {
        let (settled, moves) = settle(vec![sharer("b", &[0, 1, 2, 3, 4]), sharer("a", &[])], 5);
        let shares: Vec<_> = settled.iter().map(|sharer| sharer.owns.len()).collect();
        assert_eq!(shares, [3, 2]);
        assert_eq!(moves, 4, "two are given and two are taken");
    }

    #[test]
    fn what_is_balanced_stays_where_it_is() {
        let sharers = vec![
            sharer("a", &[3]),
            sharer("b", &[0, 2]),
            sharer("c", &[1, 4]),
        ];
        let (settled, moves) = settle(sharers.clone(), 5);
        assert_eq!((settled, moves), (sharers, 0));
    }

    #[test]
    fn those_that_are_left_divide_what_one_had() {
        let (settled, moves) = settle(vec![sharer("a", &[0, 1]), sharer("c", &[4, 5])], 6);
        assert!(settled.iter().all(|sharer| sharer.owns.len() == 3));
        assert_eq!(moves, 2);
    }

    #[test]
    fn more_processes_than_partitions_leave_some_without() {
        let (settled, _) = settle(
            vec![sharer("a", &[]), sharer("b", &[]), sharer("c", &[])],
            2,
        );
        let owned: usize = settled.iter().map(|sharer| sharer.owns.len()).sum();
        assert_eq!(owned, 2);
    }

    #[test]
    fn whoever_is_not_among_the_living_does_nothing() {
        let a = sharer("a", &[0]);
        assert_eq!(balance(&[&a], 4), Balance::default());
    }
}
