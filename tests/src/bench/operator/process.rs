//! The operator as a process.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
};

use anyhow::{Context, ensure};

use crate::{
    control_plane::ApiServer,
    nats::free_port,
    process_guard, programs,
    scratch::Scratch,
    wait::{check, eventually},
};

/// A running `catalog-operator run`, killed on drop.
pub struct Operator {
    child: Child,
    ops: u16,
    scratch: Scratch,
}

impl Operator {
    /// Starts the operator for an API server.
    ///
    /// # Errors
    /// If the operator cannot be started.
    pub fn start(server: &ApiServer) -> anyhow::Result<Self> {
        let (scratch, ops) = (Scratch::new(None), free_port());
        let mut command = process_guard::guarded_command(&programs::catalog_operator());
        command.args(["run", "--ops-address", &format!("127.0.0.1:{ops}")]).env_clear().env("KUBECONFIG", server.kubeconfig());
        let log = File::create(scratch.path().join("log"))?;
        let child = command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(Self { child, ops, scratch })
    }

    /// Waits until the operator is ready, which means that it holds the Lease.
    pub async fn ready(&self) {
        eventually("the operator is ready", async || {
            let response = reqwest::get(format!("http://127.0.0.1:{}/readyz", self.ops)).await.map_err(|error| error.to_string())?;
            check(response.status().is_success(), || self.log())
        })
        .await;
    }

    /// Returns the current and the peak resident memory in MiB (proc(5), `VmRSS` and `VmHWM`).
    ///
    /// # Errors
    /// If the process has ended.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mebibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}: {}", self.log()))?;
            anyhow::Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((mebibytes("VmRSS")?, mebibytes("VmHWM")?))
    }

    /// Checks that the process still runs.
    ///
    /// # Errors
    /// If the process has ended. The error has its log.
    pub fn still_runs(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "the operator has ended:\n{}", self.log());
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        process_guard::release(self.child.stdin.take());
    }
}
