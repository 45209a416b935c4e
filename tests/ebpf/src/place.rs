//! A loader's instance of a test's own: its folder in the BPF filesystem, gone when the test is, whatever its end.

use crate::Kernel;
use l4::{Balancer, Folder};
use std::path::{Path, PathBuf};
use std::process;

/// The folder.
pub struct Place(PathBuf);

impl Place {
    /// One that `name` tells from others of this process.
    ///
    /// # Panics
    /// Without root.
    pub fn new(name: &str) -> Self {
        // Mounts the filesystem where it is missing.
        drop(Folder::of_instance("mounted").expect("root"));
        Self(PathBuf::from(format!("{}/sluice-test-{name}-{}", l4::ROOT, process::id())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// As the loader knows it.
    pub fn folder(&self) -> Folder {
        Folder::at(self.0.clone())
    }

    /// The loader's balancer in it.
    ///
    /// # Panics
    /// When it does not load.
    pub fn balancer(&self) -> Balancer {
        Balancer::open(self.folder()).expect("loads")
    }

    /// A program over the maps that the loader's balancer has pinned there.
    pub fn kernel(&self) -> Kernel {
        Kernel::over(&self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.folder().remove().expect("removed");
    }
}
