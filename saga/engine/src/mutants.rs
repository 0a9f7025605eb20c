//! Planted bugs: each is what an engine like this one once got wrong, as a switch in the branch that
//! gets it right. The simulator must find every one of them.
//!
//! `docs/simulation.md` says for each pattern what stands for it, or why nothing does.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use sagalog_model::{
    AttemptNumber, Command, Direction, FailureClass, IdempotencyKey, Outcome, Payload, Reply,
    Retry, SagaEvent, StepSpec,
    log::{Position, StreamState, Time},
};
use sagalog_projections::{
    SagaState, StepState,
    attempts::Retrying,
    held::{Held, HeldInput},
    step::UndoEnd,
};

use crate::{
    admission::{Class, Policies, Policy},
    partition::{Taken, Unreadable},
    rules::Rules,
};

macro_rules! planted {
    ($($(#[doc = $doc:literal])+ $name:ident = ($pattern:expr, $faults:expr),)+) => {
        /// A planted bug. Each names its pattern in the list of what engines get wrong, and the
        /// fewest faults that reveal it.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The number of its pattern.
            pub const fn pattern(self) -> u8 {
                match self {
                    $(Self::$name => $pattern,)+
                }
            }

            /// The fewest faults that reveal it.
            pub const fn faults(self) -> u8 {
                match self {
                    $(Self::$name => $faults,)+
                }
            }
        }
    };
}

planted! {
    // What may be seen outside, and when.
    /// `partition::answer`: an input is answered before its batch is durable. Any reply.
    AnswersBeforeTheAppend = (1, 0),
    /// `partition::take_batch`: a command is published before its event is durable. Any start.
    PublishesBeforeTheAppend = (3, 0),
    /// `partition::take_batch`: a compensation is published before its event is durable. A step fails.
    CompensatesBeforeTheAppend = (49, 1),
    /// `partition::committed`: everything decided counts as durable, not only what was written. Two
    /// branches or two sagas.
    TakesTheTailForDurable = (6, 1),
    /// `partition::take_lives`: what is asked and unanswered is not asked again. A crash.
    AsksNothingAgain = (4, 1),
    /// `partition::take_lives`: compensations alone are not asked again. A crash while going back.
    AsksNoCompensationAgain = (5, 2),
    /// `partition::tell`: a duplicate publishes all open commands again. An answer comes twice while
    /// another is awaited.
    DuplicateAsksAgain = (9, 1),
    /// `partition::asking`: of two commands of one batch the second is published first. A fork.
    PublishesInReverse = (7, 0),
    /// `partition::poll_effect`: a command is taken off the queue and not published, once for each
    /// second attempt. An answer is lost.
    LosesSecondAttempts = (8, 1),

    /// `partition::tell`: of two branches, the answer that comes while the other's is being appended is
    /// recorded and nothing follows from it: whoever appends is thought to go on. An answer steps aside.
    LosesTheWakeUp = (76, 1),

    // Keys and contents of commands.
    /// `partition::poll_effect`: the keys contain the attempt. Any second attempt.
    KeysHoldTheAttempt = (14, 1),
    /// `partition::poll_effect`: a compensation's key contains the attempt. A second compensation.
    CompensationKeyHoldsTheAttempt = (49, 1),
    /// `partition::poll_effect`: a compensation goes under its action's key. A step fails.
    CompensationUnderTheActionsKey = (15, 1),
    /// `partition::poll_effect`: an alternative goes under the compensation's key. A refund fails.
    AlternativeUnderTheCompensationsKey = (15, 1),
    /// `partition::poll_effect`: a compensation lacks the output it undoes. A step fails.
    CompensatesWithoutTheOutput = (61, 1),
    /// `partition::poll_effect`: a command may be started after its attempt is over. Any command.
    CommandOutlivesItsAttempt = (56, 0),
    /// `partition::poll_effect`: a second attempt brings another input. An answer is lost.
    InputIsComputedAgain = (69, 1),

    // What cannot be processed.
    /// `decide::held`: what comes behind a held input is processed before it. A signal that cannot be
    /// read.
    OvertakesWhatIsHeld = (47, 0),
    /// `decide::held`: what cannot be processed is acknowledged and forgotten. A signal that cannot be
    /// read.
    ForgetsWhatCannotBeProcessed = (47, 0),
    /// `decide::held`: what was held behind is processed from the newest on. Two behind one that cannot
    /// be read.
    ReleasesTheNewestFirst = (47, 0),
    /// `partition::asking`: while inputs of one saga are held, nobody is asked for any. Two sagas.
    HeldSagaStopsItsNeighbours = (47, 0),

    // Sagas that cannot be driven.
    /// `partition::waits`: what comes for a held saga is acknowledged and not recorded. A saga is held.
    LetsWhatWaitsGoUnrecorded = (1, 1),
    /// `partition::waits`: that something is given up that waits is acknowledged and not recorded. A saga is
    /// held.
    DropsNothingThatWaits = (16, 1),
    /// `partition::release_saga`: what waited is not processed. A saga is held.
    ForgetsWhatWaits = (16, 1),
    /// `partition::release_saga`: what waited is processed from the newest on. A saga is held.
    ProcessesTheNewestFirst = (47, 1),
    /// `partition::release_saga`: that a saga is driven again is recorded, and then what waited is processed. A
    /// saga is held.
    ReleasesBeforeWhatWaits = (16, 1),
    /// `partition::take_over`: when one saga cannot be driven, none is. Two sagas.
    HoldsThemAll = (47, 1),
    /// `partition::take_over`: what waited is forgotten. A saga is held, then a crash.
    ForgetsHeldSagasInACrash = (34, 1),
    /// `partition::hold_and_release`: what was held stays held. A saga is held, then a program has its
    /// definition.
    KeepsSagasHeld = (28, 1),

    // Dead letters.
    /// `partition::bury`: a dead letter is answered, and then recorded. An answer that nobody can read.
    LetsLettersGoUnrecorded = (1, 1),
    /// `partition::death`: a dead letter that comes again is recorded again. One, then a crash.
    RecordsLettersTwice = (13, 2),
    /// `partition::tell_letter`: a dead letter is sent again before that is durable. One.
    SendsLettersBeforeTheAppend = (3, 1),
    /// `partition::send_letters_again`: what was to be sent again is forgotten. One, then a crash.
    ForgetsRetriesOfLetters = (4, 2),
    /// `partition::poll_effect`: a dead letter counts as sent when it is given out. The broker refuses it.
    MarksLettersAsSentAtOnce = (5, 2),
    /// `partition::may_retry`: the same request sends a dead letter as often as it comes. It comes twice.
    SendsLettersForEachRequest = (9, 2),
    /// `partition::may_retry`: each retry of a dead letter is its first. One dies again.
    CountsRetriesOfLettersAnew = (96, 1),

    // What producers number.
    /// `decide::numbered`: what comes ahead is taken at once, as if nothing was missing. A signal is lost
    /// for a while.
    TakesNumbersAsTheyCome = (64, 1),
    /// `decide::numbered`: missing numbers are given up without a word. A signal is lost.
    AbandonsGapsSilently = (12, 1),
    /// `decide::numbered`: how long what is missing is waited for counts from the saga's start. A signal is
    /// lost.
    CountsTheGapFromTheStart = (11, 1),
    /// `decide::numbered`: what is missing is waited for without a deadline. A signal never comes.
    WaitsForMissingForEver = (12, 1),
    /// `decide::numbered`: of what was kept, nothing goes on when it is next. A signal is lost for a
    /// while.
    AdmitsWithoutAWakeUp = (16, 1),
    /// `decide::numbered`: all producers count as one. Two producers.
    TakesProducersForOne = (15, 0),
    /// `decide::numbered`: the producer is asked once more than agreed. A signal never comes.
    AsksForMissingOnceTooOften = (46, 1),

    // Answers of participants.
    /// `decide::reply`: an answer settles whatever is open, not what it names. An answer comes twice.
    AnswerSettlesWhateverIsOpen = (65, 1),
    /// `decide::reply`: a late failure settles the newest attempt. A failure is late.
    StaleFailureSettlesTheNewest = (39, 2),
    /// `decide::reply`: a late "unknown" settles the newest attempt. A doubt is late.
    StaleUnknownSettlesTheNewest = (39, 2),
    /// `decide::reply`: a late success after the turn is taken and forgotten. A branch fails, another
    /// is late.
    IgnoresLateSuccessAfterTheTurn = (54, 1),
    /// `decide::reply`: what a probe finds after the turn is taken and forgotten. A doubt, a cancel.
    IgnoresProbesAfterTheTurn = (53, 2),
    /// `decide::reply`: a success of an earlier attempt is taken and forgotten. An answer is late.
    IgnoresLateSuccess = (54, 1),
    /// `decide::reply`: only the open attempt may be answered. An answer is late.
    RefusesLateAnswers = (15, 1),
    /// `decide::reply`: an answer after the turn is taken and forgotten. A branch fails, or a cancel.
    IgnoresSuccessAfterTheTurn = (63, 1),
    /// `decide::reply`: an unknown outcome is recorded as a failure. An outcome is in doubt.
    RecordsUnknownAsFailed = (53, 1),
    /// `decide::reply`: a probe's "not done" counts as the action's failure. A doubt is probed.
    RecordsNotDoneAsFailed = (53, 1),
    /// `decide::reply`: an answer after the end is recorded. An answer outlives its saga.
    RecordsSuccessAfterTheEnd = (55, 1),
    /// `partition::tell`: a contradiction is not recorded. An answer outlives its saga.
    ForgetsContradictions = (54, 1),

    /// `decide::reply`: a heartbeat is taken, and moves no deadline. Anything that is accepted.
    HeartbeatMovesNothing = (35, 0),
    /// `decide::reply`: a heartbeat gives twice what the step allows. Anything that is accepted.
    HeartbeatGivesTooMuch = (39, 0),
    /// `partition::poll_effect`: a participant is told of a turn before that is durable. A branch fails.
    WithdrawsBeforeTheTurn = (3, 1),

    // Attempts and waits.
    /// `decide::asking`: one attempt more than the policy. A step fails for now.
    AsksOnceTooOften = (46, 1),
    /// `decide::asking`: what ended in doubt does not count. A step is in doubt.
    DoubtsDoNotCount = (44, 1),
    /// `decide::asking`: a step is given up at its first failure. A step fails for now.
    GivesUpAtOnce = (45, 1),
    /// `decide::asking`: what is refused for good is asked again. A step fails.
    AsksAgainAfterPermanentFailure = (46, 1),
    /// `decide::asking`: the wait overflows to none. A step fails for now.
    RetriesWithoutWaiting = (48, 1),
    /// `partition::tell`: a batch has the time that the clock shows. The clock jumps back.
    FollowsTheClockBack = (48, 1),
    /// `decide::asking`: the wait depends on the clock. A step fails for now.
    WaitDependsOnTheClock = (69, 1),
    /// `decide::turn`: the reason ends with a number that is drawn. A step fails.
    DrawsANumber = (69, 1),
    /// `partition::tell`: the clock is decided with, and another time recorded. A clock goes back.
    DecidesWithTheClock = (69, 1),
    /// `decide::asking`: a doubt is asked again and not probed. An outcome is in doubt.
    AsksWithoutProbing = (53, 1),
    /// `decide::back`: a compensation has the action's budget. A refund fails twice.
    CompensationHasTheActionsBudget = (46, 1),
    /// `decide::back`: a compensation is never asked again. A compensation fails for now.
    CompensatesOnlyOnce = (60, 1),

    // Going back.
    /// `decide::back`: what is in doubt is not probed after the turn. A doubt, a cancel.
    ProbesNothingAfterTheTurn = (53, 2),
    /// `decide::back`: undone from the first step on. A third step fails.
    UndoesFromTheFirst = (51, 1),
    /// `decide::back`: nothing waits for what depends on it to be undone. An undo is late.
    UndoesAllAtOnce = (51, 1),
    /// `decide::back`: a step in flight is undone at once. A cancel, or a branch fails.
    UndoesWhatIsInFlight = (52, 1),
    /// `decide::back`: a step in doubt counts as never executed. A step is in doubt.
    ForgetsWhatIsInDoubt = (53, 1),
    /// `decide::back`: a compensation that is refused for good counts as done. A failure, a refusal.
    TakesFailedUndoForDone = (50, 2),
    /// `decide::back`: a compensation that is refused for good stops everything, unseen. A failure, a
    /// refusal.
    HidesFailedUndo = (60, 2),
    /// `decide::back`: after a refusal the alternative is not asked. A failure, a refusal.
    ParksInsteadOfTheAlternative = (60, 2),
    /// `decide::asking`: a step that fails after the pivot turns the saga. It fails.
    TurnsAfterThePivot = (57, 1),
    /// `decide`: nodes are entered after the turn too. A step fails.
    GoesForwardAfterTheTurn = (52, 1),
    /// `decide::go_on`: what turned by a cancel is not undone. A cancel.
    CancelledScopeUndoesNothing = (59, 1),

    // Cancels and signals.
    /// `decide::request`: a cancel is recorded and turns nothing. A cancel.
    CancelIsOnlyRecorded = (62, 1),
    /// `decide::request`: a cancel turns what has turned. A step fails, then a cancel.
    CancelTurnsAgain = (62, 2),
    /// `decide::request`: a cancel after the pivot is accepted. A late cancel.
    CancelsAfterThePivot = (62, 1),
    /// `decide::signal`: a signal is dropped when nobody waits yet. An early signal.
    DropsEarlySignals = (64, 0),
    /// `decide::signal`: a signal does not wake the wait. A signal.
    SignalWakesNobody = (64, 0),
    /// `decide::signal`: a signal is not known by its id. Its sender repeats it after a crash.
    TakesSignalsTwice = (13, 1),
    /// `decide::ids`: ids are forgotten that may still come again. One more signal than are remembered.
    ForgetsTooEarly = (13, 0),
    /// `decide::ids`: what could come until the watermark itself is taken for new. A repeat after its time.
    WatermarkIsOffByOne = (13, 1),
    /// `decide::ids`: what has expired is taken for new. A repeat after its time.
    TakesExpiredForNew = (13, 1),
    /// The simulated client: a repeat says that it may come for longer. A repeat after its time.
    StampsRepeatsAnew = (14, 1),

    // Pauses.
    /// `decide::go_on`: a paused saga goes on. Any pause.
    GoesOnWhilePaused = (103, 0),
    /// `partition::asking`: what has not left when the saga is paused leaves. A pause, then a crash.
    PauseKeepsNothingBack = (103, 1),
    /// `partition::take_over`: a paused saga is not paused any more. A pause, then a crash.
    ForgetsPausesInACrash = (103, 1),
    /// `decide::pause`: nothing follows from a resume. A pause.
    ResumeWakesNobody = (104, 1),
    /// `partition::asking`: what did not leave while the saga was paused never does. Any pause.
    ForgetsWhatWasKeptBack = (104, 0),
    /// `decide`: what a participant answers while the saga is paused is taken and forgotten. A pause.
    IgnoresAnswersWhilePaused = (104, 1),

    // Admission to participants.
    /// `partition::asking`: a breaker that opened stays open. An answer is lost.
    BreakerNeverTries = (101, 1),
    /// `partition::admitting`: a half-open breaker lets everything through. An answer is lost.
    HalfOpenLetsAllThrough = (102, 1),
    /// `partition::asking`: what timed out or failed keeps its permit. An answer is lost.
    FailureKeepsItsPermit = (101, 1),
    /// `partition::asking`: a command that is not admitted is dropped. An answer is lost.
    DropsWhatIsNotAdmitted = (8, 1),
    /// `partition::fire_timers`: what waits to be admitted times out. An answer is lost.
    WaitingSpendsAttempts = (45, 1),
    /// `partition::asking`: what waited leaves before its new deadline is durable. An answer is lost.
    LeavesBeforeItIsAdmitted = (3, 1),

    // Timers.
    /// `partition::fire_timers`: timers fire before their time. An answer is lost.
    FiresTooEarly = (11, 0),
    /// `partition::take_lives`: timers live in memory only. An answer is lost, then a crash.
    ForgetsTimersInACrash = (34, 1),
    /// `partition::take_lives`: timers of attempts live in memory only. An answer is lost, a crash.
    ForgetsAttemptsTimersInACrash = (34, 2),
    /// `decide::timer`: an attempt is renewed at every restart. Two long downtimes.
    RenewsForEver = (35, 3),
    /// `partition::take_over`: deadlines are counted anew. A crash.
    CountsDeadlinesAnew = (35, 1),
    /// `partition::take_batch`: a timeout disarms the saga's other timers. An answer is lost.
    TimeoutDisarmsTheOthers = (38, 1),
    /// `decide::asking`: an attempt may last beyond its step's deadline. A second attempt.
    AttemptOutlastsItsStep = (39, 1),
    /// `decide::asking`: a step's deadline ends nothing. A step is slow.
    IgnoresStepDeadlines = (39, 1),
    /// `decide::forward`: the saga's deadline ends nothing. A step is slow.
    IgnoresSagaDeadlines = (39, 1),

    // Recovery.
    /// `partition::take_over`: failed attempts do not count after it. A failure, then a crash.
    CountsAttemptsAnew = (43, 2),
    /// `partition::take_lives`: what was asked before two restarts is not asked again. Two crashes.
    AsksAgainOnlyOnce = (5, 1),
    /// `partition::take_over`: a compensation under way is lost. A failure, then a crash.
    ForgetsCompensationsInACrash = (49, 2),
    /// `partition::take_over`: what was in doubt is not any more. A doubt, then a crash.
    ForgetsDoubtsInACrash = (53, 2),
    /// `partition::take_over`: planned retries are lost. A failure, then a crash.
    ForgetsRetriesInACrash = (34, 2),
    /// `partition::take_over`: what was undone counts as not undone. A failure, then a crash.
    UndoesAgainAfterACrash = (49, 2),
    /// `partition::take_over`: a doubt is probed again. A doubt, then a crash.
    ProbesAgainAfterACrash = (71, 2),
    /// `partition::take_over`: a history longer than a page has a hole. A crash.
    ReadsOnePageOnly = (31, 1),
    /// `partition::take_over`: sagas that go back are not recovered. A failure, then a crash.
    RecoversOnlyWhatRuns = (33, 2),
    /// `partition::appending`: a saga's stream is closed when it turns. A failure, then a crash.
    ClosesAtTheTurn = (28, 2),
    /// `partition::appending`: streams stay open after the end. A crash after one.
    NeverCloses = (33, 1),
    /// `partition::committed`: ended sagas stay in memory. Any saga.
    KeepsWhatHasEnded = (33, 0),
    /// `partition::found`: a saga that was looked up stays in memory. A duplicate after the end.
    KeepsWhatWasLookedUp = (33, 1),
    /// `partition::found`: a saga that is not in memory is unknown. A duplicate after the end.
    KnowsOnlyWhatIsInMemory = (23, 1),
    /// `partition::start`: a start that comes again starts again. A crash after a start.
    StartsTwice = (29, 1),

    // The log, the shell around the machine, and the participants, as the simulator plays them.
    /// The simulated log: an append's epoch is not looked at. A lease is lost.
    LogTakesStaleEpochs = (22, 1),
    /// The simulated shell: a take-over does not raise the epoch. A lease is lost.
    TakesOverWithoutAnEpoch = (30, 1),
    /// The simulated shell: an append of unknown outcome is appended again. It had taken place.
    AppendsAgain = (18, 1),
    /// The simulated shell: an append of unknown outcome counts as done. It had not taken place.
    TakesUnknownForDone = (19, 1),
    /// The simulated shell: the machine is kept after an append of unknown outcome. It had not taken
    /// place.
    KeepsTheMachine = (20, 1),
    /// The simulated log: of a batch only the first event is stored. A crash.
    TearsBatches = (74, 1),
    /// The simulated shell: a delivery is acknowledged when it comes. A crash.
    AcknowledgesOnReceipt = (1, 0),
    /// The simulated shell: calls are not handled again after a restart. A crash.
    ForgetsCallsInACrash = (16, 1),
    /// The simulated node: a lease is judged by the wall clocks of two nodes. A clock jumps ahead.
    JudgesLeasesByTheWallClock = (25, 1),
    /// The simulated node: it counts its lease from the answer to its renewal. A renewal fails.
    CountsTheLeaseFromTheAnswer = (26, 1),
    /// The simulated node: it stops no earlier than its lease is out. A renewal fails.
    LeavesNoMargin = (26, 1),
    /// The simulated node: it goes on although its leases are not renewed. A renewal fails.
    GoesOnWithoutHeartbeats = (27, 1),
    /// The simulated node: a lease is kept when its partition is given back. A crash.
    KeepsTheLeaseAtShutdown = (28, 1),
    /// The simulated node: of a dead node's partitions only one is taken over. A crash.
    RecoversOnePartitionOnly = (28, 1),
    /// The simulated shell: a take-over reads the log before it raises the epoch. A take-over from an
    /// owner that is alive.
    ReadsBeforeItAcquires = (30, 1),
    /// The simulated shell: what was fenced is appended under a new epoch. A take-over from an owner
    /// that is alive.
    AppendsUnderTheNewEpoch = (22, 1),
    /// The simulated shell: a node that dies leaves its partition without an owner. A crash.
    NobodyTakesOver = (28, 1),
    /// The simulated participants: no tombstone is kept. An action comes after its compensation.
    KeepsNoTombstones = (56, 1),
}

/// A command as a mutated engine publishes it; none if it loses it.
pub(crate) fn published(rules: &Rules, mut command: Command) -> Option<Command> {
    let again = command.attempt.0 > 1;
    let undoes = command.direction == Direction::Compensation;
    let with_attempt = format!("{}-{}", command.node, command.attempt);
    let key = |direction| IdempotencyKey::of(&command.saga, &with_attempt, direction);
    let Some(mutant) = rules.mutant else {
        return Some(command);
    };
    match mutant {
        Mutant::LosesSecondAttempts if again => return None,
        Mutant::KeysHoldTheAttempt if again => {
            (command.key, command.action_key) = (key(command.direction), key(Direction::Action));
        }
        Mutant::CompensationKeyHoldsTheAttempt if again && undoes => {
            command.key = key(command.direction);
        }
        Mutant::CompensationUnderTheActionsKey if undoes => {
            command.key = command.action_key.clone();
        }
        Mutant::AlternativeUnderTheCompensationsKey
            if command.direction == Direction::Alternative =>
        {
            command.key = IdempotencyKey::of(&command.saga, &command.node, Direction::Compensation);
        }
        Mutant::CompensatesWithoutTheOutput if undoes => command.output = None,
        Mutant::CommandOutlivesItsAttempt => {
            command.deadline = command
                .deadline
                .after(core::time::Duration::from_secs(3600));
        }
        Mutant::InputIsComputedAgain if again => {
            command.input = Payload::from_json_text(String::from("7777"));
        }
        _ => {}
    }
    Some(command)
}

/// The policies that a mutated engine admits by.
pub(crate) fn policies(rules: &Rules, policies: Arc<Policies>) -> Arc<Policies> {
    if !mutant!(rules, HalfOpenLetsAllThrough) {
        return policies;
    }
    let many = |policy: Policy| {
        Class::ALL.into_iter().fold(policy, |policy, class| {
            let breaker = policy.breakers[class as usize];
            policy.breaker(class, breaker.map(|breaker| breaker.trials(1_000)))
        })
    };
    Arc::new(policies.changed(many))
}

/// The answer that a mutated engine makes of an answer.
pub(crate) fn taken(rules: &Rules, state: &SagaState, reply: &Reply) -> Reply {
    let mut reply = reply.clone();
    let of_step = |node: &str| {
        let (_, step) = state.step(state.graph().find(node)?)?;
        Some(step)
    };
    if mutant!(rules, AnswerSettlesWhateverIsOpen)
        && reply.direction == Direction::Action
        && of_step(&reply.node).is_some_and(|step| step.action.open.is_none())
    {
        let open = state
            .steps()
            .find_map(|(index, _, step)| Some((index, step.action.open?)));
        if let Some((index, open)) = open {
            reply.node = state.graph().node(index).id.clone();
            reply.attempt = open.number;
        }
    }
    if mutant!(rules, StaleFailureSettlesTheNewest)
        && matches!(reply.outcome, Outcome::Failed { .. })
        && let Some(open) =
            of_step(&reply.node).and_then(|step| step.attempts(reply.direction).open)
    {
        reply.attempt = AttemptNumber(reply.attempt.0.max(open.number.0));
    }
    if mutant!(rules, StaleUnknownSettlesTheNewest)
        && matches!(reply.outcome, Outcome::Unknown { .. })
        && let Some(open) =
            of_step(&reply.node).and_then(|step| step.attempts(reply.direction).open)
    {
        reply.attempt = AttemptNumber(reply.attempt.0.max(open.number.0));
    }
    let failed = || Outcome::Failed {
        class: FailureClass::Transient,
        reason: String::from("nothing was done"),
    };
    if mutant!(rules, RecordsUnknownAsFailed) && matches!(reply.outcome, Outcome::Unknown { .. }) {
        reply.outcome = failed();
    }
    if mutant!(rules, RecordsNotDoneAsFailed)
        && reply.outcome == Outcome::NotDone
        && let Some(step) = of_step(&reply.node)
    {
        reply.direction = Direction::Action;
        reply.attempt = AttemptNumber(step.action.asked);
        reply.outcome = failed();
    }
    reply
}

/// The deadline to which a heartbeat moves that of an attempt in a mutated engine.
pub(crate) fn extended(
    rules: &Rules,
    spec: &StepSpec,
    healthy: Option<Time>,
    now: Time,
) -> Option<Time> {
    match rules.mutant {
        Some(Mutant::HeartbeatMovesNothing) => None,
        Some(Mutant::HeartbeatGivesTooMuch) => {
            healthy.map(|healthy| healthy.max(now.after(spec.heartbeat.unwrap_or_default() * 2)))
        }
        _ => healthy,
    }
}

/// What a mutated engine reads when it takes over.
pub(crate) fn read(rules: &Rules, mut taken: Taken) -> Taken {
    const PAGE: usize = 4;
    if mutant!(rules, ReadsOnePageOnly) {
        for (_, history) in &mut taken.open {
            history.events.truncate(PAGE);
        }
    }
    if mutant!(rules, RecoversOnlyWhatRuns) {
        let turned = |(_, event): &(Time, SagaEvent)| matches!(event, SagaEvent::Turned(_));
        taken
            .open
            .retain(|(_, history)| !history.events.iter().any(turned));
    }
    if mutant!(rules, ForgetsHeldSagasInACrash) {
        taken.held.clear();
    }
    if mutant!(rules, HoldsThemAll) && !taken.unreadable.is_empty() {
        let all = taken.open.drain(..);
        taken.unreadable.extend(all.map(|(saga, _)| {
            let why = String::from("another saga cannot be driven");
            let is_newer = false;
            (saga, Unreadable { why, is_newer })
        }));
    }
    taken
}

/// What a mutated engine makes of a state that it has folded after a crash.
pub(crate) fn recovered(rules: &Rules, state: &mut SagaState, now: Time) {
    if mutant!(rules, ForgetsPausesInACrash) {
        state.forget_pause();
    }
    state.meddle(|step| {
        let all = [
            &mut step.action,
            &mut step.probe,
            &mut step.compensation,
            &mut step.alternative,
        ];
        for attempts in all {
            match rules.mutant {
                Some(Mutant::CountsDeadlinesAnew) => {
                    if let Some(open) = &mut attempts.open {
                        open.deadline = now.after(open.deadline.since(open.asked_at));
                    }
                }
                Some(Mutant::CountsAttemptsAnew) => attempts.forgiven = attempts.asked.max(1) - 1,
                Some(Mutant::ForgetsDoubtsInACrash) => attempts.doubtful = Vec::new(),
                Some(Mutant::ForgetsRetriesInACrash) => attempts.retry = Retrying::No,
                _ => {}
            }
        }
        if mutant!(rules, ProbesAgainAfterACrash) {
            step.probed_for = AttemptNumber(0);
        }
        if mutant!(rules, ForgetsCompensationsInACrash) {
            step.compensation.open = None;
        }
        if mutant!(rules, UndoesAgainAfterACrash) {
            step.undo = UndoEnd::Open;
        }
    });
}

/// What is left of a decision on an answer that comes while another branch's is being appended: that it
/// was given.
pub(crate) fn without_what_follows(
    (before, state): (SagaState, &mut SagaState),
    mut events: Vec<SagaEvent>,
    now: Time,
) -> Vec<SagaEvent> {
    events.truncate(1);
    *state = before;
    for event in &events {
        let folded = state.apply(event, now);
        folded.expect("the fold took it a moment ago");
    }
    events
}

/// From where on the commands of a batch are published.
pub(crate) fn gate(
    rules: &Rules,
    events: &[SagaEvent],
    durable: Position,
    position: Position,
) -> Position {
    let undoes = |event: &SagaEvent| matches!(event, SagaEvent::AttemptAsked(asked) if asked.direction == Direction::Compensation);
    let early = mutant!(rules, PublishesBeforeTheAppend)
        || mutant!(rules, CompensatesBeforeTheAppend) && events.iter().any(undoes);
    if early { durable } else { position }
}

/// By which policy a direction is asked again.
pub(crate) fn policy(
    rules: &Rules,
    mut policy: Retry,
    direction: Direction,
    (spec, step): (&StepSpec, &StepState),
) -> Retry {
    match rules.mutant {
        Some(Mutant::AsksOnceTooOften) => policy.attempts += 1,
        Some(Mutant::DoubtsDoNotCount) => {
            policy.attempts += step.attempts(direction).doubtful.len() as u32;
        }
        Some(Mutant::GivesUpAtOnce) => policy.attempts = 1,
        Some(Mutant::CompensationHasTheActionsBudget) => policy.attempts = spec.retry.attempts,
        _ => {}
    }
    policy
}

/// How a batch leaves its stream.
pub(crate) fn stream_state(rules: &Rules, state: &SagaState, healthy: StreamState) -> StreamState {
    match rules.mutant {
        Some(Mutant::NeverCloses) => StreamState::Open,
        Some(Mutant::ClosesAtTheTurn) if state.turn().is_some() => StreamState::Closed,
        _ => healthy,
    }
}

/// A reason with what a generator of random numbers would give: another number each time.
pub(crate) fn numbered(reason: &str) -> String {
    use core::sync::atomic::{AtomicU64, Ordering};
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    format!("{reason} ({})", DRAWN.fetch_add(1, Ordering::Relaxed))
}

/// A clock that is ahead by this much fires timers early.
pub(crate) const AHEAD: core::time::Duration = core::time::Duration::from_millis(500);

/// Whether a batch ends an attempt by its deadline.
pub(crate) fn is_timeout(events: &[SagaEvent]) -> bool {
    matches!(events.first(), Some(SagaEvent::AttemptTimedOut(_)))
}

/// The newest input that is held, taken for the first.
pub(crate) fn newest_held(held: &Held) -> Option<HeldInput> {
    let number = held.first()?.number;
    let newest = held.iter().last()?.clone();
    Some(HeldInput { number, ..newest })
}

/// What waited for a saga, as far as a mutated engine processes it, and in its order.
pub(crate) fn processed(rules: &Rules, mut inputs: Vec<HeldInput>) -> Vec<HeldInput> {
    match rules.mutant {
        Some(Mutant::ForgetsWhatWaits) => inputs.clear(),
        Some(Mutant::ProcessesTheNewestFirst) => inputs.reverse(),
        _ => {}
    }
    inputs
}
