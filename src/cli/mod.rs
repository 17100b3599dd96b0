//! The command line: arguments to one verb, a file each.
//!
//! stdout is data, stderr is messages. Exit codes: 0 fine, 1 the run failed, 2 the input is wrong.

mod bench;
mod check;
mod degeneracy;
mod dic;
mod diff;
mod execution;
mod files;
mod interrupt;
mod intersect;
mod list;
mod new;
mod overview;
mod progress;
mod replay;
mod run;
mod scan;
mod setting;
mod step_study;
mod study;
mod study_page;
mod table;
mod verify;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::record::bundle::Refusal;
use crate::run::Failure;
use crate::scene::{Diagnostic, Diagnostics};

/// Simulator for central pattern generator networks with calcium homeostasis and neuromodulation.
#[derive(Parser)]
#[command(name = "homarus", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Run(run::Arguments),
    Check(check::Arguments),
    Dic(dic::Arguments),
    List(list::Arguments),
    New(new::Arguments),
    Verify(verify::Arguments),
    Intersect(intersect::Arguments),
    Replay(replay::Arguments),
    Diff(diff::Arguments),
    Bench(bench::Arguments),
    Study(study::Arguments),
}

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors. Nothing is left to do if they cannot be
            // written.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let outcome = match &arguments.verb {
        Verb::Run(arguments) => run::run(arguments).map(|()| ExitCode::SUCCESS),
        Verb::Check(arguments) => check::run(arguments),
        Verb::Dic(arguments) => dic::run(arguments),
        Verb::List(arguments) => list::run(arguments).map(|()| ExitCode::SUCCESS),
        Verb::New(arguments) => new::run(arguments).map(|()| ExitCode::SUCCESS),
        Verb::Verify(arguments) => verify::run(arguments),
        Verb::Intersect(arguments) => intersect::run(arguments),
        Verb::Replay(arguments) => replay::run(arguments),
        Verb::Diff(arguments) => diff::run(arguments),
        Verb::Bench(arguments) => bench::run(arguments),
        Verb::Study(arguments) => study::run(arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure::Input(errors)) => {
            message(&errors.render(color(), width()));
            ExitCode::from(2)
        }
        Err(Failure::Directory(Refusal::Request {
            message: wrong,
            help,
        })) => {
            let refused = Diagnostics::from(Diagnostic::new(wrong).help(help));
            message(&refused.render(color(), width()));
            ExitCode::from(2)
        }
        Err(Failure::Directory(Refusal::Disk(error))) | Err(Failure::Bundle(error)) => {
            message(&format!("homarus: the bundle cannot be written: {error}\n"));
            ExitCode::from(1)
        }
        Err(Failure::Run(error)) => {
            message(&format!("homarus: {error}\n"));
            ExitCode::from(1)
        }
        Err(Failure::Threads(error)) => {
            message(&format!("homarus: {error}\n"));
            ExitCode::from(1)
        }
        Err(Failure::Members(what)) => {
            message(&format!("homarus: {what}\n"));
            ExitCode::from(1)
        }
        Err(Failure::Stopped(when)) => {
            message(&format!("homarus: stopped {when}\n"));
            ExitCode::from(1)
        }
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => {
            message(&format!("homarus: the output cannot be written: {error}\n"));
            ExitCode::from(1)
        }
    }
}

/// Whether messages may be coloured.
fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Width of messages in columns.
fn width() -> usize {
    std::env::var("COLUMNS")
        .ok()
        .and_then(|c| c.parse().ok())
        .unwrap_or(80)
        .clamp(40, 120)
}

/// Writes data to stdout.
fn output(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes a message to stderr. Where that is closed there is nobody to tell.
fn message(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// An error of the command line itself.
fn wrong(message: String, help: Option<String>) -> Failure {
    Diagnostics::from(Diagnostic::new(message).maybe_help(help)).into()
}
