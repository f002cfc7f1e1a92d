//! Runs with the repository root as its working directory, so that `tauri.conf.json` and `icons/`
//! are found there; capabilities and permissions live in `src-tauri/`.

fn main() {
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    println!("cargo:rerun-if-changed=src-tauri/permissions");
    // The macro that embeds ui/dist does not make cargo watch it.
    println!("cargo:rerun-if-changed=ui/dist");
    // A fresh clone can be checked and tested before the front end is built.
    let index = std::path::Path::new("ui/dist/index.html");
    if !index.exists() {
        let written = std::fs::create_dir_all("ui/dist").and_then(|()| {
            std::fs::write(
                index,
                "<!doctype html><title>Pilothouse</title>The front end is not built: run `cargo xtask run`.",
            )
        });
        match written {
            Ok(()) => println!("cargo:warning=ui/dist was missing: a placeholder is embedded"),
            Err(e) => println!("cargo:warning=ui/dist is missing and cannot be written: {e}"),
        }
    }
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/**/*")
        .app_manifest(tauri_build::AppManifest::new().permissions_path_pattern("./src-tauri/permissions/**/*.toml"));
    if let Err(e) = tauri_build::try_build(attributes) {
        println!("cargo:warning=tauri-build failed: {e:#}");
        std::process::exit(1);
    }
}
