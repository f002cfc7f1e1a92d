//! Packed charts (`.tgz`), taken apart in memory and within bounds. Nothing of an archive is written to a disk as it
//! says: its files are held by their checked paths.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;

use flate2::read::GzDecoder;
use pilothouse_git::RepoPath;
use tar::EntryType;

use super::ChartError;
use super::files::{LARGEST_CHART, LARGEST_FILE, MOST_FILES};
use super::release::printable;

/// The largest archive, in bytes.
pub(super) const LARGEST_ARCHIVE: usize = 16 * 1024 * 1024;
/// The most bytes that an archive may unfold to, headers and filling with them.
const LARGEST_STREAM: u64 = 64 * 1024 * 1024;
/// How many times its size an archive may unfold to, beyond [`FREE`]. Text packs to a tenth, and sometimes a fiftieth.
const STEEPEST: u64 = 100;
/// So much may come out whatever the archive's size.
const FREE: u64 = 1024 * 1024;
/// The deepest that packed charts may lie in packed charts.
const DEEPEST: usize = 4;
/// The most packed charts in a chart, at whatever depth.
const MOST_ARCHIVES: usize = 200;
/// What a file costs beside its content.
const ENTRY: usize = 512;

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// The files of a packed chart by their paths below the chart's folder. `place` names it in errors.
pub(super) fn unpack(place: &str, packed: &[u8]) -> Result<Files, ChartError> {
    unfold(place, packed, LARGEST_STREAM).map(|(files, _)| files)
}

/// The files, and how many bytes the archive unfolded to, which are `allowed` at most.
fn unfold(place: &str, packed: &[u8], allowed: u64) -> Result<(Files, u64), ChartError> {
    if packed.len() > LARGEST_ARCHIVE {
        return Err(ChartError::TooLarge { what: format!("{place} is larger than {} MiB", LARGEST_ARCHIVE >> 20) });
    }
    let most = (packed.len() as u64).saturating_mul(STEEPEST).saturating_add(FREE).min(LARGEST_STREAM).min(allowed);
    let unreadable = |error: &io::Error| ChartError::BadFile {
        path: place.to_owned(),
        why: format!("it is no packed chart that can be read ({})", printable(&error.to_string(), 120)),
    };
    let unfolds = || ChartError::TooLarge { what: format!("{place} unfolds to more than {} KiB", most >> 10) };
    let mut stream = Bounded { inner: GzDecoder::new(packed), left: most };
    let mut files = BTreeMap::new();
    let mut entries = 0;
    let mut total = 0;
    let walk = (|| -> Result<(), ChartError> {
        let mut archive = tar::Archive::new(&mut stream);
        for entry in archive.entries().map_err(|error| unreadable(&error))? {
            let mut entry = entry.map_err(|error| unreadable(&error))?;
            entries += 1;
            if entries > MOST_FILES {
                return Err(ChartError::TooLarge { what: format!("{place} has more than {MOST_FILES} files") });
            }
            let named = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let shown = format!("{place}: {}", printable(&named, 200));
            let refused = |what: &str| ChartError::Refused { path: shown.clone(), what: what.to_owned() };
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Directory | EntryType::XGlobalHeader => continue,
                EntryType::Symlink | EntryType::Link => return Err(refused("a link")),
                _ => return Err(refused("neither a file nor a folder")),
            }
            let Some(path) = below(&named) else {
                return Err(refused("named in a way that leads out of the chart"));
            };
            RepoPath::parse(path)
                .map_err(|_| refused("named in a way that leads out of the chart, or not every system can take"))?;
            let too_large =
                || ChartError::TooLarge { what: format!("{shown} is larger than {} MiB", LARGEST_FILE >> 20) };
            if entry.size() > LARGEST_FILE as u64 {
                return Err(too_large());
            }
            let mut bytes = Vec::new();
            entry.by_ref().take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
            if bytes.len() > LARGEST_FILE {
                return Err(too_large());
            }
            total += bytes.len();
            if total > LARGEST_CHART {
                return Err(ChartError::TooLarge {
                    what: format!("{place} unfolds to more than {} MiB", LARGEST_CHART >> 20),
                });
            }
            if files.insert(path.to_owned(), bytes).is_some() {
                return Err(refused("there twice"));
            }
        }
        Ok(())
    })();
    let over = stream.left == 0;
    match walk {
        Err(_) if over => Err(unfolds()),
        Err(error) => Err(error),
        Ok(()) => Ok((files, most - stream.left)),
    }
}

/// The path below the first folder, which is named as the chart is.
fn below(named: &str) -> Option<&str> {
    let named = named.strip_prefix("./").unwrap_or(named);
    let (folder, path) = named.split_once('/')?;
    (!matches!(folder, "" | "." | "..") && !named.contains(['\\', '\0'])).then_some(path)
}

/// The files of a chart with every packed chart in its `charts/` as a folder of files, so that each can be looked at.
pub(super) fn unfolded(place: &str, files: &Files) -> Result<Files, ChartError> {
    let mut spread = Spread { place, out: BTreeMap::new(), archives: 0, left: 2 * LARGEST_CHART as u64 };
    spread.charge(files.values().map(Vec::len).sum::<usize>() as u64)?;
    spread.all("", files, 0)?;
    Ok(spread.out)
}

/// A chart that is being unfolded. All that is packed in it draws on one budget, at whatever depth: what an archive
/// unfolds to, and each file's entry.
struct Spread<'a> {
    place: &'a str,
    out: Files,
    archives: usize,
    left: u64,
}

impl Spread<'_> {
    fn too_large(&self) -> ChartError {
        let what = format!("{} and the charts packed in it come to more than is read", self.place);
        ChartError::TooLarge { what }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), ChartError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| self.too_large())?;
        Ok(())
    }

    fn all(&mut self, folder: &str, files: &Files, depth: usize) -> Result<(), ChartError> {
        for (path, bytes) in files {
            let Some((above, name)) = packed(path) else {
                self.charge((ENTRY + folder.len() + path.len()) as u64)?;
                if self.out.len() >= 4 * MOST_FILES {
                    return Err(self.too_large());
                }
                self.out.insert(format!("{folder}{path}"), bytes.clone());
                continue;
            };
            let shown = format!("{}/{folder}{path}", self.place);
            if depth == DEEPEST {
                return Err(ChartError::TooLarge { what: format!("{shown} lies in {DEEPEST} packed charts already") });
            }
            self.archives += 1;
            if self.archives > MOST_ARCHIVES {
                let what = format!("{} has more than {MOST_ARCHIVES} packed charts in it", self.place);
                return Err(ChartError::TooLarge { what });
            }
            let (inner, unfolded) = unfold(&shown, bytes, self.left)?;
            self.charge(unfolded)?;
            // Its name says nothing to Helm, which goes by Chart.yaml; no folder of the chart is called so.
            let mut called = format!("{above}{name}/");
            while holds(files, &called) || holds(&self.out, &format!("{folder}{called}")) {
                called.insert(called.len() - 1, '-');
            }
            self.all(&format!("{folder}{called}"), &inner, depth + 1)?;
        }
        Ok(())
    }
}

/// Whether there is a file whose path starts with `folder`.
fn holds(files: &Files, folder: &str) -> bool {
    let from = (Bound::Included(folder), Bound::Unbounded);
    files.range::<str, _>(from).next().is_some_and(|(path, _)| path.starts_with(folder))
}

/// The folder and the name without ending of a packed chart that Helm reads: right below a `charts/`.
fn packed(path: &str) -> Option<(&str, &str)> {
    let at = path.rfind('/')? + 1;
    let (above, name) = path.split_at(at);
    let below_charts = above == "charts/" || above.ends_with("/charts/") && above.starts_with("charts/");
    let name = name.strip_suffix(".tgz").filter(|name| !name.starts_with(['_', '.']) && !name.is_empty())?;
    below_charts.then_some((above, name))
}

/// Ends a stream that goes on for too long with an error.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("it unfolds to more than is read"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use tar::Header;

    use super::*;

    /// An archive of these entries: kind, path, content or target.
    pub fn archive(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
        let mut out = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (kind, path, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let link = matches!(kind, EntryType::Symlink | EntryType::Link);
            header.set_size(if link { 0 } else { content.len() as u64 });
            // As somebody who means harm writes it: the library's own way refuses such names.
            let name = &mut header.as_gnu_mut().unwrap().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            if link {
                let target = &mut header.as_gnu_mut().unwrap().linkname;
                target[..content.len()].copy_from_slice(content);
            }
            header.set_cksum();
            out.append(&header, if link { &[][..] } else { content }).unwrap();
        }
        out.into_inner().unwrap().finish().unwrap()
    }

    const FILE: EntryType = EntryType::Regular;

    fn told(packed: &[u8]) -> String {
        unpack("cart-1.tgz", packed).unwrap_err().to_string()
    }

    #[test]
    fn a_packed_chart_is_read() {
        let packed = archive(&[
            (EntryType::Directory, "cart/", b""),
            (FILE, "cart/Chart.yaml", b"name: cart\n"),
            (FILE, "./cart/templates/a.yaml", b"a: 1\n"),
        ]);
        let files = unpack("x", &packed).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["Chart.yaml", "templates/a.yaml"]);
    }

    #[test]
    fn what_leads_out_of_the_chart_is_refused() {
        for path in
            ["../x", "cart/../../x", "/etc/passwd", "cart/..", "x", "cart\\..\\x", "cart/a\\b", "cart/.git/config"]
        {
            let words = told(&archive(&[(FILE, path, b"x")]));
            assert!(words.contains("leads out"), "{path}: {words}");
        }
        for (kind, words) in [
            (EntryType::Symlink, "a link"),
            (EntryType::Link, "a link"),
            (EntryType::Char, "neither"),
            (EntryType::Fifo, "neither"),
        ] {
            let packed = archive(&[(kind, "cart/templates/a.yaml", b"/etc/passwd")]);
            assert!(told(&packed).contains(words), "{kind:?}");
        }
        let twice = archive(&[(FILE, "cart/a", b"1"), (FILE, "./cart/a", b"2")]);
        assert!(told(&twice).contains("there twice"));
    }

    #[test]
    fn archives_are_bounded() {
        let large = vec![b'x'; LARGEST_FILE + 1];
        assert!(told(&archive(&[(FILE, "cart/a", &large)])).contains("cart/a is larger than 5 MiB"));
        let many: Vec<String> = (0..=MOST_FILES).map(|n| format!("cart/{n}")).collect();
        let many: Vec<_> = many.iter().map(|path| (FILE, path.as_str(), &b""[..])).collect();
        assert!(told(&archive(&many)).contains("more than 2000 files"));
        // A few kilobytes that unfold to megabytes of nothing.
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..64 {
            bomb.write_all(&vec![0; 1 << 20]).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        let header = archive(&[(FILE, "cart/a", &vec![0; 4 << 20])]);
        assert!(header.len() < 32 * 1024);
        assert!(told(&header).contains("unfolds to more than"));
        assert!(unpack("x", &bomb).is_err() || unpack("x", &bomb).unwrap().is_empty());
        assert!(told(&vec![0; LARGEST_ARCHIVE + 1]).contains("16 MiB"));
        for broken in [&b"no archive"[..], b"", &archive(&[(FILE, "cart/a", &[7; 3000])])[..40]] {
            assert!(unpack("x", broken).is_err() || unpack("x", broken).unwrap().is_empty());
        }
    }

    #[test]
    fn packed_charts_in_a_chart_become_folders() {
        let inner = archive(&[(FILE, "deep/Chart.yaml", b"name: deep\n"), (FILE, "deep/values.schema.json", b"{}")]);
        let outer = archive(&[(FILE, "lib/Chart.yaml", b"name: lib\n"), (FILE, "lib/charts/deep-1.tgz", &inner)]);
        let files = BTreeMap::from([
            ("Chart.yaml".to_owned(), b"name: cart\n".to_vec()),
            ("charts/lib-1.tgz".to_owned(), outer),
            ("charts/lib-1/Chart.yaml".to_owned(), b"name: other\n".to_vec()),
            ("charts/_off.tgz".to_owned(), b"not looked at".to_vec()),
            ("files/data.tgz".to_owned(), b"data".to_vec()),
        ]);
        let all = unfolded("cart", &files).unwrap();
        let paths: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "Chart.yaml",
                "charts/_off.tgz",
                "charts/lib-1-/Chart.yaml",
                "charts/lib-1-/charts/deep-1/Chart.yaml",
                "charts/lib-1-/charts/deep-1/values.schema.json",
                "charts/lib-1/Chart.yaml",
                "files/data.tgz",
            ]
        );
        let mut nested = archive(&[(FILE, "x/Chart.yaml", b"name: x\n")]);
        for _ in 0..6 {
            nested = archive(&[(FILE, "x/charts/x.tgz", &nested)]);
        }
        let deep = BTreeMap::from([("charts/x.tgz".to_owned(), nested)]);
        assert!(unfolded("cart", &deep).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn two_packed_charts_never_share_a_folder() {
        let one = |name: &str| archive(&[(FILE, "x/Chart.yaml", format!("name: {name}\n").as_bytes())]);
        let files = BTreeMap::from([
            ("charts/a-.tgz".to_owned(), one("first")),
            ("charts/a.tgz".to_owned(), one("second")),
            ("charts/a/Chart.yaml".to_owned(), b"name: third\n".to_vec()),
        ]);
        let all = unfolded("cart", &files).unwrap();
        let paths: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(paths, ["charts/a--/Chart.yaml", "charts/a-/Chart.yaml", "charts/a/Chart.yaml"]);
    }

    #[test]
    fn all_packed_charts_draw_on_one_budget() {
        let told = |packed: &[u8], count: usize| {
            let files = (0..count).map(|n| (format!("charts/x{n}.tgz"), packed.to_vec())).collect();
            unfolded("cart", &files).map(|all| all.len()).map_err(|error| error.to_string())
        };
        let tiny = archive(&[(FILE, "x/Chart.yaml", b"name: x\n")]);
        assert_eq!(told(&tiny, MOST_ARCHIVES), Ok(MOST_ARCHIVES));
        assert!(told(&tiny, MOST_ARCHIVES + 1).unwrap_err().contains("more than 200 packed charts"));
        // The same, a level deeper in each of a few.
        let names: Vec<String> = (0..50).map(|n| format!("x/charts/y{n}.tgz")).collect();
        let nested: Vec<_> = names.iter().map(|path| (FILE, path.as_str(), &tiny[..])).collect();
        assert!(told(&archive(&nested), 5).unwrap_err().contains("more than 200 packed charts"));
        // Folders leave no file behind, and are read all the same.
        let folders: Vec<String> = (0..1999).map(|n| format!("x/{n}/")).collect();
        let folders: Vec<_> = folders.iter().map(|path| (EntryType::Directory, path.as_str(), &b""[..])).collect();
        let folders = archive(&folders);
        assert_eq!(told(&folders, 1), Ok(0));
        assert!(told(&folders, 80).unwrap_err().contains("more than"));
    }
}
