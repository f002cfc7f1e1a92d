//! The platform's Git servers: what is asked to add one, the two objects that come of it, and the truth about each.

mod credentials;
mod diagnosis;
mod form;
mod writes;

pub use credentials::{Credentials, SECRET_TYPE_LABEL, SECRET_TYPE_REPOSITORY, StoredCredentials};
pub use diagnosis::{Attempt, differences};
pub use form::{ServerForm, preview_yaml, render_secret, render_server, validate};
pub use writes::{
    Deleted, Replacement, add_server, delete_server, read_credentials, rehearse, replace_credentials, users_of,
};
