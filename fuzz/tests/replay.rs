//! Every corpus and every crash that was found, without a fuzzer: what was right once stays right.

use std::path::Path;

#[test]
fn corpora() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut inputs = 0;
    for (name, check) in ws13_fuzz::TARGETS {
        for entry in std::fs::read_dir(root.join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&std::fs::read(&path).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs > 40, "there are corpora to run: {inputs}");
}
