//! The engine against real servers: git behind TLS, and OpenSSH.

mod hostile;
mod https;
mod publish;
mod refused;
mod ssh;
mod stage;
mod upstream;
