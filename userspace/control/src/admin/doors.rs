//! The admin API's sockets: opened before anything depends on them, served, replaced when the configuration says so.

use alloc::{rc::Rc, sync::Arc};
use core::{net::SocketAddr, time::Duration};
use std::{
    fs, io,
    net::TcpListener,
    os::{fd::AsFd, unix::net::UnixListener},
    path::{Path, PathBuf},
};

use config::Admin;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::{
    fs::{Mode, fchmod},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinHandle,
    time,
};

use super::{
    guard::{self, Caller},
    service::{self, Office},
};

/// Connections served at once; others are closed as they come.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take, the wait for it on a kept connection included.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may last.
const CONNECTION_TIME_MAX: Duration = Duration::from_mins(5);
/// How long accepting rests when it fails (no file descriptors).
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;

/// Why a socket of the admin API cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Another process answers there.
    #[error("admin socket {0}: another process listens there; stop it, or give this one another admin socket")]
    Taken(PathBuf),
    /// The UNIX socket.
    #[error("admin socket {0}: {1}")]
    Socket(PathBuf, #[source] io::Error),
    /// The TCP port.
    #[error("admin metrics port {0}: {1}")]
    Port(SocketAddr, #[source] io::Error),
}

/// Sockets that listen and are not served yet. Opening them needs rights that serving them does not.
#[derive(Debug)]
pub struct Doors {
    admin: Arc<Admin>,
    socket: Option<UnixListener>,
    port: Option<TcpListener>,
}

impl Doors {
    /// Opens what `admin` asks for.
    pub fn open(admin: &Arc<Admin>) -> Result<Self, DoorError> {
        Self::open_besides(admin, None)
    }

    /// Opens what `admin` asks for and `now` has not.
    fn open_besides(admin: &Arc<Admin>, now: Option<&Admin>) -> Result<Self, DoorError> {
        let socket = admin.socket.as_ref().filter(|path| now.and_then(|now| now.socket.as_ref()) != Some(path));
        let socket = socket.map(|path| open_socket(path)).transpose()?;
        let port = admin.metrics.as_ref().map(|metrics| metrics.bind);
        let port = port.filter(|bind| now.and_then(|now| now.metrics.as_ref()).map(|metrics| metrics.bind) != Some(*bind));
        let port = port.map(|bind| TcpListener::bind(bind).map_err(|error| DoorError::Port(bind, error))).transpose()?;
        for result in [socket.as_ref().map(|socket| socket.set_nonblocking(true)), port.as_ref().map(|port| port.set_nonblocking(true))] {
            result.unwrap_or(Ok(())).map_err(|error| DoorError::Socket(PathBuf::new(), error))?;
        }
        Ok(Self { admin: Arc::clone(admin), socket, port })
    }
}

/// The path's socket, for its owner alone from its first moment on.
fn open_socket(path: &Path) -> Result<UnixListener, DoorError> {
    let failed = |error: io::Error| DoorError::Socket(path.to_owned(), error);
    if is_served(path).map_err(|error| failed(error.into()))? {
        return Err(DoorError::Taken(path.to_owned()));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let open = || {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // The socket's own mode is what its file gets: there is no moment at which others could connect.
        fchmod(socket.as_fd(), Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    open().map(UnixListener::from).map_err(|error: Errno| failed(error.into()))
}

/// Whether somebody listens at the path. Never waits for him to accept.
fn is_served(path: &Path) -> Result<bool, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    // A full backlog is somebody's too.
    Ok(matches!(connect(&socket, &SocketAddrUnix::new(path)?), Ok(()) | Err(Errno::AGAIN)))
}

/// The sockets in service.
#[derive(Debug)]
pub(crate) struct House {
    admin: Arc<Admin>,
    socket: Option<JoinHandle<()>>,
    port: Option<JoinHandle<()>>,
}

impl House {
    pub(crate) fn serve(doors: Doors, office: &Rc<Office>) -> io::Result<Self> {
        let nothing = Arc::new(Admin { socket: None, metrics: None });
        let mut house = Self { admin: nothing, socket: None, port: None };
        house.replace(doors, office)?;
        Ok(house)
    }

    /// Opens what another configuration asks for; nothing is served or closed yet.
    pub(crate) fn prepare(&self, admin: &Arc<Admin>) -> Result<Doors, DoorError> {
        Doors::open_besides(admin, Some(&self.admin))
    }

    /// Serves new doors, closes old ones. Connections under way are not touched.
    pub(crate) fn replace(&mut self, doors: Doors, office: &Rc<Office>) -> io::Result<()> {
        if doors.admin.socket != self.admin.socket {
            end(self.socket.take());
            self.remove_socket();
            if let Some(socket) = doors.socket {
                let listener = tokio::net::UnixListener::from_std(socket)?;
                self.socket = Some(tokio_uring::spawn(serve_socket(listener, Rc::clone(office))));
            }
        }
        let bind = |admin: &Admin| admin.metrics.as_ref().map(|metrics| metrics.bind);
        if bind(&doors.admin) != bind(&self.admin) {
            end(self.port.take());
            if let Some(port) = doors.port {
                let listener = tokio::net::TcpListener::from_std(port)?;
                self.port = Some(tokio_uring::spawn(serve_port(listener, Rc::clone(office))));
            }
        }
        self.admin = doors.admin;
        Ok(())
    }

    fn remove_socket(&self) {
        if let Some(path) = &self.admin.socket
            && let Err(error) = fs::remove_file(path)
        {
            tracing::debug!("admin socket {}: {error}", path.display());
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.remove_socket();
        end(self.socket.take());
        end(self.port.take());
    }
}

fn end(task: Option<JoinHandle<()>>) {
    if let Some(task) = task {
        task.abort();
    }
}

async fn serve_socket(listener: tokio::net::UnixListener, office: Rc<Office>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
        match stream.peer_cred() {
            Ok(peer) if guard::may_rule(peer.uid()) => serve(stream, Caller::Ruler, &places, &office),
            _ => office.refused_peer.increment(),
        }
    }
}

async fn serve_port(listener: tokio::net::TcpListener, office: Rc<Office>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
        serve(stream, Caller::Reader, &places, &office);
    }
}

async fn accepted<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!("the admin API cannot accept: {error}");
            time::sleep(ACCEPT_REST).await;
            None
        }
    }
}

/// Serves one connection in a task of its own, if there is a place for it.
fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, caller: Caller, places: &Arc<Semaphore>, office: &Rc<Office>) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        office.refused_connections.increment();
        return;
    };
    let office = Rc::clone(office);
    tokio_uring::spawn(async move {
        let answer = service_fn(|request: Request<Incoming>| service::answer(&office, caller, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .serve_connection(TokioIo::new(stream), answer);
        match time::timeout(CONNECTION_TIME_MAX, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("admin connection: {error}"),
            Err(_elapsed) => tracing::debug!("admin connection: closed after {CONNECTION_TIME_MAX:?}"),
        }
        drop(place);
    });
}
