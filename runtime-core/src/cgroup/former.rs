//! What a file of a cgroup has to be told to say what it said before. Pure.

/// What undoes the writing of `value` to `file`, which said `text` before.
///
/// Most files hold one value. Some hold a line for each device, of which a write changes one; there a device that had
/// no line gets the value that stands for none.
pub(super) fn former(file: &str, text: &str, value: &str) -> String {
    if let Some(number) = text.strip_prefix("oom_kill_disable ") {
        return number.lines().next().unwrap_or_default().into();
    }
    match nothing(file) {
        None => text.trim_end().to_owned(),
        Some(nothing) => {
            let lines = value.lines().filter_map(|line| line.split_once(' '));
            let undone = lines.map(|(key, _)| line_of(text, key).unwrap_or(format!("{key} {nothing}")));
            undone.collect::<Vec<_>>().join("\n")
        }
    }
}

fn line_of(text: &str, key: &str) -> Option<String> {
    let rest = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(' '));
    text.lines().find(|line| rest(line)).map(|line| line.trim_end().to_owned())
}

/// What stands for no limit in a file with a line for each device.
fn nothing(file: &str) -> Option<&'static str> {
    match file {
        "io.max" => Some("rbps=max wbps=max riops=max wiops=max"),
        "rdma.max" => Some("hca_handle=max hca_object=max"),
        "io.bfq.weight" | "io.weight" => Some("default"),
        "net_prio.ifpriomap" => Some("0"),
        file if file.starts_with("blkio.") && file.ends_with("_device") => Some("0"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_one_value_gets_it_back() {
        for (file, text, value, back) in [
            ("memory.max", "max\n", "1000", "max"),
            ("cpu.max", "max 100000\n", "5000 100000", "max 100000"),
            ("cpuset.cpus", "\n", "0", ""),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "1", "0"),
        ] {
            assert_eq!(former(file, text, value), back, "{file}");
        }
    }

    #[test]
    fn a_file_with_a_line_for_each_device_gets_the_lines_back_that_change() {
        let text = "8:0 rbps=100 wbps=max riops=max wiops=max\n18:0 rbps=7 wbps=max riops=max wiops=max\n";
        assert_eq!(former("io.max", text, "8:0 rbps=5"), "8:0 rbps=100 wbps=max riops=max wiops=max");
        assert_eq!(former("io.max", text, "8:1 rbps=5"), "8:1 rbps=max wbps=max riops=max wiops=max");
        assert_eq!(former("blkio.throttle.read_bps_device", "8:0 100\n", "8:0 5"), "8:0 100");
        assert_eq!(former("blkio.throttle.read_bps_device", "", "8:0 5"), "8:0 0");
    }

    #[test]
    fn a_default_for_all_devices_comes_back() {
        assert_eq!(former("io.weight", "default 100\n8:0 7\n", "8:0 9"), "8:0 7");
        assert_eq!(former("io.weight", "default 100\n", "8:0 9"), "8:0 default");
        assert_eq!(former("io.weight", "default 100\n", "default 300"), "default 100");
    }
}
