//! How many bytes a server copies in user space: it runs once more with `copies.c` in place of the C library's memcpy.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Builds what is to be preloaded; `None` where there is no C compiler.
pub fn build() -> io::Result<Option<PathBuf>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/broadcast/copies.c");
    let library = std::env::current_exe()?.with_file_name("libws13_bench_copies.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).stdin(Stdio::null());
    match compiler.status() {
        Ok(status) if status.success() => Ok(Some(library)),
        Ok(_) => Err(io::Error::other("copies.c does not build")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes copied by this process so far; `None` where nothing counts them.
pub fn so_far() -> Option<u64> {
    // SAFETY: the name ends with a zero, and is only looked for.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"bytes_copied".as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    // SAFETY: nothing else has this name, and in `copies.c` it is a function of this type.
    let counter =
        unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> libc::c_ulong>(symbol) };
    Some(counter())
}
