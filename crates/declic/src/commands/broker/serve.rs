//! Runs the broker, with all that belongs to it.

use std::sync::{Arc, Mutex, PoisonError};

use declic_broker::bridge::Bridge;
use declic_broker::{Broker, Config, Handle};
use tracing::{info, warn};

use super::Args;
use crate::access::{Access, AccessArgs, Others, cannot_listen};
use crate::announce::Announcement;
use crate::broker_config::Settings;
#[cfg(unix)]
use crate::control::{Control, Place, Served};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::json::Object;
use crate::log::Log;
#[cfg(target_os = "linux")]
use crate::open_files;
use crate::printer::{Color, Printer};
use crate::signals;
#[cfg(unix)]
use crate::systemd;

/// Runs the broker until the process is told to stop.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let settings = args.settings(printer)?;
    Log::start(settings.log_level, settings.log_format, printer);
    #[cfg(target_os = "linux")]
    {
        let files = open_files::allow_most();
        if files < settings.limits.connections {
            let wanted = settings.limits.connections;
            info!(
                files,
                wanted, "the system allows fewer open files than there may be connections"
            );
        }
    }
    let (broker, access) = open(&settings)?;
    let handle = broker.handle();
    let reload = {
        let (args, handle) = (args.clone(), handle.clone());
        Arc::new(move || reload(&args, &handle))
    };
    let _announcement = settings
        .announce
        .then(|| Announcement::start(broker.local_addrs()));
    let bridges = start_bridges(&settings, &handle)?;
    #[cfg(unix)]
    let _control = control(
        &settings,
        Served {
            handle: handle.clone(),
            bridges: Arc::clone(&bridges),
            reload: Arc::clone(&reload) as _,
        },
    )?;
    signals::on_stop_or_reload(
        move || {
            #[cfg(unix)]
            systemd::stopping();
            // What is on its way over them is finished first.
            let mut bridges = bridges.lock().unwrap_or_else(PoisonError::into_inner);
            bridges.iter().for_each(Bridge::stop);
            bridges.clear();
            handle.shutdown();
        },
        move || {
            if let Err(error) = reload() {
                warn!(%error, "the files are as they were");
            }
        },
    )?;
    tell(&broker, &settings, &access, printer)?;
    #[cfg(unix)]
    systemd::ready();
    broker
        .run()
        .map_err(|error| Error::new(ExitCode::Failure, "the broker had to stop").because(error))?;
    Ok(ExitCode::Success)
}

/// Opens all that the broker listens on, and what it keeps.
fn open(settings: &Settings) -> Result<(Broker, Access), Error> {
    let no_socket = |error: std::io::Error| {
        Error::new(ExitCode::CannotListen, "can't use the sockets of systemd").because(error)
    };
    #[cfg(unix)]
    let handed = systemd::sockets().map_err(no_socket)?;
    #[cfg(not(unix))]
    let handed: Vec<std::net::TcpListener> = Vec::new();
    let mut others = Others {
        is_any: !handed.is_empty() || !settings.unix_listen.is_empty(),
        open: Vec::new(),
    };
    for socket in &handed {
        others.open.push(socket.local_addr().map_err(no_socket)?);
    }
    let is_tls = !settings.tls_listen.is_empty() || !settings.https_listen.is_empty();
    let encrypted = settings.tls_listen.iter().chain(&settings.https_listen);
    if !settings.tls.require_client_certificate {
        others.open.extend(encrypted);
    }
    others.open.extend(&settings.http_listen);
    others.is_any |= is_tls || !settings.http_listen.is_empty();
    let access = AccessArgs {
        others,
        ..AccessArgs::from(settings)
    };
    let access = access.resolve()?;
    let mut broker = Broker::bind(Config {
        listeners: access.listen.clone(),
        tls_listeners: settings.tls_listen.clone(),
        http_listeners: settings.http_listen.clone(),
        https_listeners: settings.https_listen.clone(),
        unix: settings.unix_listen.clone(),
        tls: settings.tls.resolve(is_tls)?,
        public_pages: settings.public_pages,
        web_origins: settings.web_origins.clone(),
        threads: settings.threads,
        access: access.access.clone(),
        rights: settings.rights.clone(),
        limits: settings.limits.clone(),
        store: settings.store(),
        sys_interval: settings.sys_interval,
        response_prefix: settings.response_prefix.clone(),
        tcp_keep_alive: settings.tcp_keep_alive,
        ..Config::default()
    })
    .map_err(|error| cannot_listen(&error))?;
    for socket in handed {
        broker
            .listen_on(socket)
            .map_err(|error| cannot_listen(&error))?;
    }
    Ok((broker, access))
}

/// Starts the bridges. They connect once the broker runs.
fn start_bridges(settings: &Settings, handle: &Handle) -> Result<Arc<Mutex<Vec<Bridge>>>, Error> {
    let mut bridges = Vec::new();
    for settings in &settings.bridges {
        let config = settings.resolve()?;
        let bridge = Bridge::start(&config, handle).map_err(|error| {
            let what = format!("can't bridge {:?}", config.name);
            Error::new(ExitCode::Usage, what).because(error)
        })?;
        bridges.push(bridge);
    }
    Ok(Arc::new(Mutex::new(bridges)))
}

/// Answers on the control socket.
#[cfg(unix)]
fn control(settings: &Settings, served: Served) -> Result<Option<Control>, Error> {
    let place = Place::of(&settings.control_socket);
    Control::start(&place, served).map_err(|error| {
        let what = format!("can't be asked on {}", settings.control_socket);
        Error::new(ExitCode::CannotListen, what)
            .because(error)
            .remedy("Choose another path with --control, or none.")
    })
}

/// Reads the configuration and the files it names again, and takes over what can change while the
/// broker runs: certificates, users and rights, and how much is told.
fn reload(args: &Args, handle: &Handle) -> Result<(), String> {
    let settings = args.settings(&Printer::new(Color::Never, false));
    let settings = settings.map_err(|error| error.to_string())?;
    handle.reload().map_err(|error| error.to_string())?;
    Log::set_level(settings.log_level);
    info!(level = ?settings.log_level, "configuration read again");
    Ok(())
}

/// Tells where the broker can be reached, and by whom.
fn tell(
    broker: &Broker,
    settings: &Settings,
    access: &Access,
    printer: &Printer,
) -> Result<(), Error> {
    let mut urls = Vec::new();
    for (scheme, addresses, path) in [
        ("mqtt", broker.local_addrs(), ""),
        ("mqtts", broker.tls_addrs(), ""),
        ("ws", broker.http_addrs(), "/mqtt"),
        ("wss", broker.https_addrs(), "/mqtt"),
    ] {
        let url = |address| format!("{scheme}://{address}{path}");
        urls.extend(addresses.iter().map(url));
    }
    let unix = settings.unix_listen.iter();
    urls.extend(unix.map(|path| format!("unix:{}", path.display())));
    for url in urls {
        printer.event(
            format_args!("listening on {url}"),
            &Object::new().text("event", "listening").text("url", &url),
        )?;
    }
    if let Some(own) = access.own.as_ref().filter(|_| access.is_generated) {
        let (name, password) = (&own.name, &own.password);
        printer.event(
            format_args!("clients log in as user {name} with password {password}"),
            &Object::new()
                .text("event", "login")
                .text("user", name)
                .text("password", password),
        )?;
    }
    Ok(())
}
