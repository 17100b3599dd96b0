//! The workers of a study. A worker takes a network, runs it to the fork and then its branches, one
//! after the other, in one world; who has no network of its own left helps with the branches of
//! another's. What members return does not depend on who runs them, or when.
//!
//! There are never more networks at the fork than workers, so that memory does not grow with the
//! study.

use std::{
    collections::VecDeque,
    io,
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rayon::ThreadPoolBuilder;

use crate::{
    execution::{Execution, NoThreads, cores, pool},
    scene::{Diagnostic, Diagnostics},
};

use super::{
    bisect::Bisection,
    design::{Coordinates, Plan, Run},
    journal::Journal,
    judgement::{Judge, Judgement},
    member::{self, Failure, Fork, Runner, Site, Watch},
    model::{Settle, Study, Value, Values},
    networks::Settings,
    observed::Observed,
    record::Record,
};

/// Records that may wait to be written.
const WAITING: usize = 1024;
/// Wall time after which what was written is brought to the disk; so much is lost when the machine
/// itself fails.
const SYNC: Duration = Duration::from_secs(1);
/// Wall time between two looks at what the user wants.
const LOOK: Duration = Duration::from_millis(50);
/// Wall time for which the first network is run before an estimate.
const MOMENT: Duration = Duration::from_millis(500);
/// Cells from which one network is worth all threads.
const WORTH_ALL: usize = 4_000;

/// How far a study has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Members and controls that are safe.
    pub done: u64,
    /// Of all.
    pub all: u64,
    /// Model time run by this process (ms).
    pub run_ms: f64,
    /// Model time that this process has to run (ms), about: networks may settle earlier, and a
    /// bisection end earlier.
    pub all_ms: f64,
}

/// Told several times a second how far a study has come; it may break off.
pub type Pulse<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// How the members of a study ended.
#[derive(Debug)]
pub enum Ending {
    /// All of them are in the journal.
    Complete,
    /// The user broke off.
    Stopped,
    /// The disk refuses.
    Disk(io::Error),
}

/// Members of a study, controls included: a control has the number of its run behind those of the
/// members.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    members: u64,
    runs: u64,
}

/// A member or a control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Row {
    /// A member.
    Member(Coordinates),
    /// The control of a run.
    Control(Run),
}

impl Numbers {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        let counts = plan.counts();
        Numbers {
            members: counts.members(),
            runs: counts.runs(),
        }
    }

    /// How many.
    pub fn count(self) -> u64 {
        self.members + self.runs
    }

    /// Controls.
    pub fn controls(self) -> u64 {
        self.runs
    }

    /// What has a number below [`Numbers::count`].
    pub fn row(self, plan: &Plan, number: u64) -> Row {
        match number.checked_sub(self.members) {
            None => Row::Member(plan.member(number)),
            Some(run) => Row::Control(plan.run(run)),
        }
    }

    /// The number of a control.
    fn control(self, plan: &Plan, run: &Run) -> u64 {
        self.members + plan.run_number(run)
    }
}

/// What a study takes, before it is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Model time (ms), at most.
    pub model_ms: f64,
    /// Wall time (s), as fast as the first network runs.
    pub wall_s: f64,
    /// Workers beside each other.
    pub workers: usize,
}

/// Runs the first network for a moment, and estimates what all of them take.
///
/// # Errors
/// The network cannot be made or run; the system does not give the threads.
pub fn estimate(
    study: &Study,
    plan: &Plan,
    execution: &Execution,
) -> Result<Result<Estimate, Failure>, NoThreads> {
    let (workers, inner) = workers(study, execution);
    let counts = plan.counts();
    let (settle_ms, branch_ms) = lengths(study);
    let branches = 1.0 + branches(study) * counts.branches_of_run() as f64;
    let model_ms = counts.runs() as f64 * (settle_ms + branches * branch_ms);
    let watch = Watch::default();
    let pace = pool(inner)?.install(|| {
        let mut runner = Runner::new(study, plan, execution.kernel, &watch);
        runner.pace(plan.run(0), MOMENT)
    });
    Ok(pace.map(|ms_per_s| Estimate {
        model_ms,
        wall_s: model_ms / ms_per_s / workers as f64,
        workers,
    }))
}

/// Model time (ms) that a run to the fork takes, and each of its branches; the longest if it varies.
pub fn lengths(study: &Study) -> (f64, f64) {
    let settle = match study.settle {
        Settle::For(ms) => ms,
        Settle::Until { at_most_ms, .. } => at_most_ms,
    };
    (settle, member::branch_ms(study))
}

/// Branches that a member takes, at most.
pub fn branches(study: &Study) -> f64 {
    let bisected = study.axes.iter().find_map(|axis| match axis.values {
        Values::Bisect {
            from,
            to,
            tolerance,
        } => Some(((to - from).abs() / tolerance).log2().ceil().max(0.0) + 2.0),
        _ => None,
    });
    bisected.unwrap_or(1.0)
}

/// Refuses a fork between two control ticks, where regulation lags behind.
///
/// # Errors
/// The time of the fork is no multiple of the control interval of a base.
pub fn check(study: &Study, plan: &Plan) -> Result<(), Diagnostics> {
    let Settle::For(settle_ms) = study.settle else {
        return Ok(());
    };
    let mut errors = Diagnostics::default();
    for base in 0..study.bases.len() as u64 {
        let run = Run {
            base,
            ..Run::default()
        };
        let settings = Settings::of(study, &run, &plan.settings(0))?;
        let control_ms = settings.control_ms;
        let off_ms = settle_ms - (settle_ms / control_ms).round() * control_ms;
        if off_ms.abs() > 1e-6 * settings.step_ms {
            let name = &study.bases[base as usize].name;
            errors.push(
                Diagnostic::new(format!(
                    "the fork at {settle_ms} ms lies between two control ticks of `{name}`"
                ))
                .help(format!(
                    "give `settle_ms` a multiple of its `control_ms`, {control_ms}"
                )),
            );
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// Runs every member that the journal lacks. `is_there` is asked now and then whether the journal
/// still has its name.
///
/// # Errors
/// The system does not give the threads.
pub fn run(
    study: &Study,
    plan: &Plan,
    execution: &Execution,
    journal: &mut Journal,
    is_there: &dyn Fn() -> io::Result<()>,
    pulse: &mut Pulse,
) -> Result<Ending, NoThreads> {
    let numbers = Numbers::of(plan);
    let done = (0..numbers.count()).map(|n| journal.has(n)).collect();
    let watch = Watch::default();
    let mut work = Work {
        study,
        plan,
        numbers,
        done,
        watch: &watch,
        kernel: execution.kernel,
        board: Mutex::default(),
        changed: Condvar::new(),
    };
    let all_ms = work.prepare();
    let (workers, inner) = workers(study, execution);
    // Asked of the system before anything runs.
    drop(pool(workers * inner)?);
    let (sender, receiver) = sync_channel(WAITING);
    let ending = thread::scope(|scope| {
        for _ in 0..workers {
            let (work, sender) = (&work, sender.clone());
            scope.spawn(move || work.in_pool(inner, &sender));
        }
        drop(sender);
        let mut desk = Desk {
            work: &work,
            journal,
            is_there,
            all_ms,
            synced: Instant::now(),
        };
        desk.receive(receiver, pulse)
    });
    Ok(ending)
}

/// Workers, and threads of each: small networks run beside each other, large ones one by one on all.
fn workers(study: &Study, execution: &Execution) -> (usize, usize) {
    let threads = execution.threads.unwrap_or_else(cores);
    let cells = study.bases.iter().map(|base| base.cells.len()).max();
    match cells.unwrap_or(0) {
        0..WORTH_ALL => (threads, 1),
        _ => (1, threads),
    }
}

/// Who writes down what workers return.
struct Desk<'a> {
    work: &'a Work<'a>,
    journal: &'a mut Journal,
    is_there: &'a dyn Fn() -> io::Result<()>,
    all_ms: f64,
    synced: Instant,
}

impl Desk<'_> {
    fn receive(&mut self, receiver: Receiver<(u64, Vec<u8>)>, pulse: &mut Pulse) -> Ending {
        let (mut stopped, mut batch) = (false, Vec::new());
        loop {
            let ended = match receiver.recv_timeout(LOOK) {
                Ok(record) => {
                    batch.push(record);
                    batch.extend(receiver.try_iter().take(WAITING));
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if let Err(error) = self.write(&batch, ended) {
                self.work.stop();
                return Ending::Disk(error);
            }
            batch.clear();
            if ended {
                return match stopped {
                    true => Ending::Stopped,
                    false => Ending::Complete,
                };
            }
            // What workers have finished is still written after the user broke off.
            if !stopped && pulse(self.progress()).is_break() {
                stopped = true;
                self.work.stop();
            }
        }
    }

    fn write(&mut self, batch: &[(u64, Vec<u8>)], last: bool) -> io::Result<()> {
        if !batch.is_empty() {
            self.journal.append(batch)?;
        }
        if last || self.synced.elapsed() > SYNC {
            self.synced = Instant::now();
            self.journal.sync()?;
            // A file that somebody removed takes what is written to nowhere.
            (self.is_there)()?;
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress {
            done: self.journal.done(),
            all: self.work.numbers.count(),
            run_ms: self.work.watch.run_ms(),
            all_ms: self.all_ms,
        }
    }
}

/// What the workers share.
struct Work<'s> {
    study: &'s Study,
    plan: &'s Plan,
    numbers: Numbers,
    /// Whether a member was there before this process.
    done: Vec<bool>,
    watch: &'s Watch,
    kernel: homarus_systems::integrate::Kernel,
    board: Mutex<Board>,
    changed: Condvar,
}

/// What there is to do.
#[derive(Default)]
struct Board {
    /// Runs by their numbers, of which something is missing.
    runs: VecDeque<u64>,
    /// Networks on their way to the fork.
    settling: usize,
    /// Networks at the fork with branches that nobody has begun.
    open: Vec<Arc<Open>>,
}

/// A network at the fork.
struct Open {
    fork: Fork,
    control: OnceLock<Observed>,
    /// What is still to be begun.
    jobs: Mutex<Jobs>,
}

struct Jobs {
    control: bool,
    members: VecDeque<u64>,
}

/// What is done next by a worker that has nothing of its own.
enum Next {
    Settle(Run),
    Help(Arc<Open>),
    Nothing,
}

enum Job {
    Control,
    Member(u64),
}

type Sender = SyncSender<(u64, Vec<u8>)>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Open {
    fn next(&self) -> Option<Job> {
        let mut jobs = lock(&self.jobs);
        if std::mem::take(&mut jobs.control) {
            return Some(Job::Control);
        }
        jobs.members.pop_front().map(Job::Member)
    }

    /// Branches that nobody has begun.
    fn left(&self) -> usize {
        let jobs = lock(&self.jobs);
        jobs.members.len() + usize::from(jobs.control)
    }
}

/// Lets all workers end if one of them panics.
struct Alarm<'a>(&'a Work<'a>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'s> Work<'s> {
    /// Finds what is missing; gives the model time (ms) that it takes.
    fn prepare(&mut self) -> f64 {
        let (settle_ms, branch_ms) = lengths(self.study);
        let member_ms = branch_ms * branches(self.study);
        let mut all_ms = 0.0;
        for run in 0..self.plan.counts().runs() {
            let missing = self.missing(self.plan.run(run)).count();
            let control = !self.done[(self.numbers.members + run) as usize];
            if missing > 0 || control {
                all_ms += settle_ms + branch_ms + member_ms * missing as f64;
                lock(&self.board).runs.push_back(run);
            }
        }
        all_ms
    }

    /// Members of a run that were not there before this process.
    fn missing(&self, run: Run) -> impl Iterator<Item = u64> + use<'_, 's> {
        let numbers = self.plan.members_of(run);
        numbers
            .map(|member| self.plan.number(&member))
            .filter(|number| !self.done[*number as usize])
    }

    fn stop(&self) {
        self.watch.stop.store(true, Ordering::Relaxed);
        drop(lock(&self.board));
        self.changed.notify_all();
    }

    /// Works on a thread that is, for the engine, a pool of its own.
    fn in_pool(&self, threads: usize, sender: &Sender) {
        let _alarm = Alarm(self);
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder.use_current_thread().build();
        // The system has just given as many; without, the engine would use the common pool.
        match pool {
            Ok(pool) => pool.install(|| self.work(sender)),
            Err(_) => self.work(sender),
        }
    }

    /// Works until nothing is left to do.
    fn work(&self, sender: &Sender) {
        let mut runner = Runner::new(self.study, self.plan, self.kernel, self.watch);
        let judges: Vec<Judge> = (0..self.study.bases.len())
            .map(|base| Judge::of(self.study, base))
            .collect();
        let mut own: Option<(Arc<Open>, Site)> = None;
        while !self.watch.asked() {
            if let Some((open, site)) = &mut own {
                if let Some(job) = open.next() {
                    let judge = &judges[open.fork.run.base as usize];
                    if self
                        .job(&mut runner, judge, open, site, job, sender)
                        .is_err()
                    {
                        return;
                    }
                    continue;
                }
                self.close(open);
            }
            if let Some((open, site)) = own.take() {
                runner.leave(site, &open.fork.run);
            }
            own = match self.next() {
                Next::Settle(run) => match self.settle(&mut runner, run, sender) {
                    Ok(own) => own,
                    Err(_) => return,
                },
                Next::Help(open) => match runner.another_site(&open.fork) {
                    Ok(site) => Some((open, site)),
                    // It was made before, so it can be made again.
                    Err(_) => return,
                },
                Next::Nothing => return,
            };
        }
    }

    /// What is to be done next; waits while that may still change.
    fn next(&self) -> Next {
        let mut board = lock(&self.board);
        loop {
            if self.watch.asked() {
                return Next::Nothing;
            }
            if let Some(run) = board.runs.pop_front() {
                board.settling += 1;
                return Next::Settle(self.plan.run(run));
            }
            let fullest = board.open.iter().max_by_key(|open| open.left());
            if let Some(open) = fullest.filter(|open| open.left() > 0) {
                return Next::Help(open.clone());
            }
            if board.settling == 0 {
                return Next::Nothing;
            }
            board = self
                .changed
                .wait(board)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a network of which every branch was begun off the board.
    fn close(&self, done: &Arc<Open>) {
        lock(&self.board)
            .open
            .retain(|open| !Arc::ptr_eq(open, done));
    }

    /// Runs a network to the fork and opens it; one that fails ends here with all its members.
    fn settle(
        &self,
        runner: &mut Runner,
        run: Run,
        sender: &Sender,
    ) -> Result<Option<(Arc<Open>, Site)>, Failure> {
        let forked = runner.fork(run);
        let opened = match forked {
            Ok((fork, site)) => {
                let jobs = Jobs {
                    control: true,
                    members: self.missing(run).collect(),
                };
                let open = Arc::new(Open {
                    fork,
                    control: OnceLock::new(),
                    jobs: Mutex::new(jobs),
                });
                Ok(Some((open, site)))
            }
            Err(Failure::Stopped) => Err(Failure::Stopped),
            Err(Failure::Member(reason)) => {
                let control = self.numbers.control(self.plan, &run);
                let missing = self.missing(run).chain([control]);
                let failed = Record::failed(reason);
                missing
                    .filter(|number| !self.done[*number as usize])
                    .try_for_each(|number| send(sender, number, &failed))
                    .map(|()| None)
            }
        };
        let mut board = lock(&self.board);
        board.settling -= 1;
        if let Ok(Some((open, _))) = &opened {
            board.open.push(open.clone());
        }
        drop(board);
        self.changed.notify_all();
        opened
    }

    /// Runs a branch, judges it and hands it over.
    fn job(
        &self,
        runner: &mut Runner,
        judge: &Judge,
        open: &Open,
        site: &mut Site,
        job: Job,
        sender: &Sender,
    ) -> Result<(), Failure> {
        let fork = &open.fork;
        match job {
            Job::Control => {
                let observed = match runner.control(fork, site) {
                    Ok(observed) => observed,
                    Err(Failure::Member(reason)) => Observed {
                        error: Some(reason),
                        ..Observed::default()
                    },
                    Err(Failure::Stopped) => return Err(Failure::Stopped),
                };
                let judgement = judge.judge(None, &observed);
                let number = self.numbers.control(self.plan, &fork.run);
                let record = self.record(fork, judgement, &observed);
                // Set once: a control is begun by one worker.
                let _ = open.control.set(observed);
                drop(lock(&self.board));
                self.changed.notify_all();
                match self.done[number as usize] {
                    true => Ok(()),
                    false => send(sender, number, &record),
                }
            }
            Job::Member(number) => {
                let control = self.wait_for(open)?;
                let member = self.plan.member(number);
                let values = self.plan.values(member.setting, member.point);
                let branch = member.branch as usize;
                let mut run = |values: &[Option<Value>]| {
                    let observed = runner.member(fork, site, branch, values, control)?;
                    Ok((judge.judge(Some(control), &observed), observed))
                };
                let record = match bisected(self.study, values, &mut run) {
                    Ok((judgement, observed)) => self.record(fork, judgement, &observed),
                    Err(Failure::Member(reason)) => Record::failed(reason),
                    Err(Failure::Stopped) => return Err(Failure::Stopped),
                };
                send(sender, number, &record)
            }
        }
    }

    /// The control of a network, once it is there.
    fn wait_for<'o>(&self, open: &'o Open) -> Result<&'o Observed, Failure> {
        let mut board = lock(&self.board);
        loop {
            if let Some(control) = open.control.get() {
                return Ok(control);
            }
            if self.watch.asked() {
                return Err(Failure::Stopped);
            }
            board = self
                .changed
                .wait(board)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn record(&self, fork: &Fork, judgement: Judgement, observed: &Observed) -> Record {
        Record::of(self.study, fork.run.base as usize, judgement, observed)
    }
}

/// What `run` gives, or, where an axis is bisected, what it gives last, with the critical value.
fn bisected(
    study: &Study,
    mut values: Vec<Option<Value>>,
    run: &mut dyn FnMut(&[Option<Value>]) -> Result<(Judgement, Observed), Failure>,
) -> Result<(Judgement, Observed), Failure> {
    let found = study
        .axes
        .iter()
        .enumerate()
        .find_map(|(axis, bisected)| match bisected.values {
            Values::Bisect {
                from,
                to,
                tolerance,
            } => Some((axis, Bisection::new(from, to, tolerance))),
            _ => None,
        });
    let Some((axis, mut bisection)) = found else {
        return run(&values);
    };
    let mut last = None;
    while let Some(value) = bisection.next() {
        values[axis] = Some(Value::Number(value));
        let (judgement, observed) = run(&values)?;
        bisection.tell(judgement.survives());
        let nothing_to_lose = !judgement.has_rhythm();
        last = Some((judgement, observed));
        if nothing_to_lose {
            break;
        }
    }
    let (mut judgement, observed) =
        last.ok_or_else(|| Failure::Member("nothing was tried".to_owned()))?;
    judgement.critical = bisection.result().filter(|_| judgement.has_rhythm());
    Ok((judgement, observed))
}

/// Hands a record over.
fn send(sender: &Sender, number: u64, record: &Record) -> Result<(), Failure> {
    let payload = record.bytes().map_err(Failure::Member)?;
    // Nobody takes it where the disk has failed.
    sender.send((number, payload)).map_err(|_| Failure::Stopped)
}
