//! A pipe's end or a terminal's master, read and written without blocking.

use rustix::io::{Errno, read, write};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that came from a shim.
pub(crate) struct Descriptor(AsyncFd<OwnedFd>);

impl Descriptor {
    /// Makes it non-blocking. Its open file description is ours alone: the other end keeps its own flags.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        // Needed: there is no safe constructor.
        // SAFETY: an OwnedFd owns its descriptor and always answers the same one; it is closed with the AsyncFd.
        let registered = unsafe { AsyncFd::register(descriptor)? };
        Ok(Self(registered))
    }

    /// Reads some bytes; 0 at the end. A terminal whose last slave is closed answers EIO: that is an end too.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .async_io(Interest::READABLE, |descriptor| match read(descriptor, &mut *buffer) {
                Err(Errno::IO) => Ok(0),
                other => Ok(other?),
            })
            .await
    }

    /// Writes all bytes.
    pub(crate) async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let written = self
                .0
                .async_io(Interest::WRITABLE, |descriptor| Ok(write(descriptor, data)?))
                .await?;
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}
