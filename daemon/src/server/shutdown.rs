//! The way to stop the server: from a SHUTDOWN command, a signal or the admin address, to the thread that waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// Do not wait for clients: stop as soon as the log is safe.
    pub now: bool,
    /// Stop even when something that ought to be finished cannot be.
    pub force: bool,
}

/// Where requests to stop go in. The first one decides; later ones come out too, in order.
#[derive(Debug)]
pub struct ShutdownSwitch {
    requested: AtomicBool,
    requests: Sender<ShutdownRequest>,
}

impl ShutdownSwitch {
    pub(super) fn new() -> (Self, Receiver<ShutdownRequest>) {
        let (requests, receiver) = channel();
        (Self { requested: AtomicBool::new(false), requests }, receiver)
    }

    /// Asks the server to stop. False when nobody listens any more: it is stopping already.
    pub fn request(&self, request: ShutdownRequest) -> bool {
        self.requested.store(true, Ordering::Release);
        self.requests.send(request).is_ok()
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_out_and_is_remembered() {
        let (switch, requests) = ShutdownSwitch::new();
        assert!(!switch.is_requested());
        assert!(switch.request(ShutdownRequest { now: true, force: false }));
        assert!(switch.is_requested());
        assert_eq!(requests.recv().unwrap(), ShutdownRequest { now: true, force: false });
        drop(requests);
        assert!(!switch.request(ShutdownRequest::default()));
    }
}
