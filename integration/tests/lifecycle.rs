//! x
use integration::*;
#[test]
fn smoke() {
    for world in World::all() {
        let test = Test::at(world);
        let out = test.run_with(|config| bundle::shell(config, "echo hi; cat /proc/self/cgroup; exit 3")).exits(3);
        println!("{}", out.stdout);
        let container = test.start(&test.bundle(|config| bundle::shell(config, "exec sleep 100")));
        println!("{:?} {:?}", container.state(), test.traces());
        container.kill("KILL").ok();
        println!("{:?}", container.wait());
        container.delete().ok();
    }
}
