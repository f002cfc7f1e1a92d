//! The applications' own repositories: a chart in `deploy-templates/`, one tag for each build.

use crate::Result;
use crate::git_remote::{GitAccess, GitRemote, RepositoryState};

/// One application of the practice cluster.
pub(crate) struct Sample {
    pub name: &'static str,
    pub about: &'static str,
    pub language: &'static str,
    pub framework: &'static str,
    pub build_tool: &'static str,
    pub port: u16,
    /// Builds, oldest first.
    pub builds: &'static [Build],
}

/// One build: its tag, when it was made, and what its digest is made of.
pub(crate) struct Build {
    pub tag: &'static str,
    pub created: &'static str,
    pub change: &'static str,
}

const fn build(tag: &'static str, created: &'static str, change: &'static str) -> Build {
    Build { tag, created, change }
}

/// The applications of the flow `storefront`.
pub(crate) const SAMPLES: &[Sample] = &[
    Sample {
        name: "cart",
        about: "Keeps what a visitor wants to buy",
        language: "go",
        framework: "gin",
        build_tool: "go",
        port: 8080,
        builds: &[
            build("1.3.0-SNAPSHOT.1", "2026-08-11T08:12:00Z", "Hold a cart for thirty days"),
            build("1.3.0-SNAPSHOT.2", "2026-08-18T14:40:00Z", "Merge carts at sign-in"),
            build("1.3.0-SNAPSHOT.3", "2026-08-26T09:05:00Z", "Answer faster for large carts"),
            build("1.4.0-SNAPSHOT.1", "2026-09-03T11:31:00Z", "Add gift wrapping"),
            build("1.4.0-SNAPSHOT.2", "2026-09-10T16:22:00Z", "Fix the price of gift wrapping"),
        ],
    },
    Sample {
        name: "checkout",
        about: "Takes the order and the payment",
        language: "java",
        framework: "java21",
        build_tool: "maven",
        port: 8090,
        builds: &[
            build("2.0.0-SNAPSHOT.6", "2026-08-14T10:02:00Z", "Check the address before paying"),
            build("2.0.0-SNAPSHOT.7", "2026-08-24T07:48:00Z", "Retry a payment once"),
            build("2.1.0-SNAPSHOT.1", "2026-09-02T13:15:00Z", "Show taxes by country"),
            build("2.1.0-SNAPSHOT.2", "2026-09-11T12:54:00Z", "Send the receipt at once"),
        ],
    },
];

/// The digest of a build's image.
pub(crate) fn digest(application: &str, tag: &str) -> String {
    use sha2::{Digest, Sha256};
    let sum = Sha256::digest(format!("{application}:{tag}").as_bytes());
    let hex: String = sum.iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// Writes the applications' repositories, with one commit and one tag for each build.
/// A repository with history is left as it is.
pub(crate) fn plant(remote: &GitRemote) -> Result<()> {
    for sample in SAMPLES {
        let repository = format!("acme/{}", sample.name);
        if GitAccess::state(remote, &repository)? == RepositoryState::WithHistory {
            continue;
        }
        remote.create_repo(&repository, "main")?;
        for (number, build) in sample.builds.iter().enumerate() {
            let files = files(sample, build);
            let borrowed: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
            let changes: &[(&str, &str)] = match number {
                0 => &borrowed,
                // Only the chart's version changes from build to build.
                _ => &borrowed[..1],
            };
            remote.commit_files(&repository, "main", changes, build.change)?;
            remote.tag(&repository, &format!("build/{}", build.tag), "main")?;
        }
    }
    Ok(())
}

fn files(sample: &Sample, build: &Build) -> Vec<(&'static str, String)> {
    let name = sample.name;
    let fill = |text: &str| {
        text.replace("@name@", name)
            .replace("@about@", sample.about)
            .replace("@port@", &sample.port.to_string())
            .replace("@version@", build.tag)
    };
    vec![
        ("deploy-templates/Chart.yaml", fill(include_str!("chart/Chart.yaml"))),
        ("deploy-templates/values.yaml", fill(include_str!("chart/values.yaml"))),
        ("deploy-templates/values.schema.json", include_str!("chart/values.schema.json").to_string()),
        ("deploy-templates/templates/deployment.yaml", include_str!("chart/deployment.yaml").to_string()),
        ("deploy-templates/templates/service.yaml", include_str!("chart/service.yaml").to_string()),
        ("README.md", fill("# @name@\n\n@about@.\n")),
    ]
}
