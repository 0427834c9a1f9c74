//! Threads beside the loops. The system may give none: of a pod (`pids.max`), a service (`TasksMax=`) or a user all may
//! be in use. That is an error here, and no panic.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, Runtime};

/// Does what blocks, off the loop that others wait for: a disk may stand still.
///
/// # Errors
/// There is no thread for it, or it panicked.
pub(crate) async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    // Where it has no thread at all, and is given none, it panics.
    let begun = catch_unwind(AssertUnwindSafe(|| tokio::task::spawn_blocking(work)));
    let begun = begun.map_err(|_no_thread| io::Error::from_raw_os_error(libc::EAGAIN))?;
    begun.await.map_err(io::Error::other)
}

/// A thread with a runtime of its own, made there: one that is dropped within another runtime, as where there is no
/// thread for it, panics.
///
/// # Errors
/// The thread or its runtime could not be made.
pub(crate) fn with_runtime(name: String, run: impl FnOnce(Runtime) + Send + 'static) -> io::Result<JoinHandle<()>> {
    let (tell, told) = sync_channel(1);
    let work = move || {
        let made = runtime::Builder::new_current_thread().enable_all().build();
        let (said, runtime) = made.map_or_else(|error| (Err(error), None), |runtime| (Ok(()), Some(runtime)));
        // Who began it waits for this.
        let _ = tell.send(said);
        if let Some(runtime) = runtime {
            run(runtime);
        }
    };
    let thread = Builder::new().name(name).spawn(work)?;
    told.recv().map_err(io::Error::other)??;
    Ok(thread)
}

/// Whether the system gives a thread now, for what does not say where it has none.
///
/// # Errors
/// It does not.
pub(crate) fn is_there_one() -> io::Result<()> {
    let thread = Builder::new().name("trial".into()).spawn(|| {})?;
    thread.join().map_err(|_panic| io::Error::other("a thread that does nothing panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_off_the_loop_is_an_error_there() {
        assert_eq!(off_the_loop(|| 1).await.unwrap(), 1);
        assert!(off_the_loop::<()>(|| panic!("a bug")).await.is_err());
        assert!(is_there_one().is_ok());
    }

    #[tokio::test]
    async fn a_thread_with_a_runtime_begins_and_ends_within_another() {
        let (tell, told) = sync_channel(1);
        let thread = with_runtime("its-name".into(), move |runtime| {
            let name = runtime.block_on(async { std::thread::current().name().map(str::to_owned) });
            tell.send(name).unwrap();
        });
        thread.unwrap().join().unwrap();
        assert_eq!(told.recv().unwrap().as_deref(), Some("its-name"));
    }
}
